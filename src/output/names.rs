//! The names of a data set's files: written and read here alone.
//!
//! A unit and the number of a shard in it have five digits at least, so that names sort as the rows do.

use crate::denoise::DataSplit;

/// The folder of shards, where loaders look.
pub(crate) const DATA: &str = "data";
/// The folder of rejected lines.
pub(crate) const REJECTS: &str = "rejects";
/// The folder of everything that loaders must not see.
pub(crate) const PRIVATE: &str = ".ul2-prep";
/// The commit records.
pub(crate) const COMMITS: &str = ".ul2-prep/commits";

/// The commit record of a shard, relative to the data set.
#[must_use]
pub(crate) fn commit(unit: usize, shard: usize) -> String {
    format!("{COMMITS}/{}.json", numbers(unit, shard))
}

/// The unit and the shard of a commit record, from its path; `None` for any other path.
#[must_use]
pub(crate) fn of_commit(path: &str) -> Option<(usize, usize)> {
    parsed(path.strip_prefix(COMMITS)?.strip_prefix('/')?.strip_suffix(".json")?)
}

/// A shard's file with the rows of a split: `data/train-00003-00000.parquet`.
#[must_use]
pub(crate) fn shard_file(split: DataSplit, unit: usize, shard: usize) -> String {
    format!("{DATA}/{split}-{}.parquet", numbers(unit, shard))
}

/// The split, the unit and the shard of a file in `data/`, from its path; `None` for any other path. They sort as the
/// files of a data set do.
#[must_use]
pub(crate) fn of_shard_file(path: &str) -> Option<(DataSplit, usize, usize)> {
    let name = path.strip_prefix(DATA)?.strip_prefix('/')?.strip_suffix(".parquet")?;
    DataSplit::ALL.into_iter().find_map(|split| {
        let (unit, shard) = parsed(name.strip_prefix(split.name())?.strip_prefix('-')?)?;
        Some((split, unit, shard))
    })
}

/// What the files of a shard's rejects begin with: `rejects/train-00003-00000`. Both splits have the same.
#[must_use]
pub(crate) fn rejects_stem(unit: usize, shard: usize) -> String {
    format!("{REJECTS}/train-{}", numbers(unit, shard))
}

/// The unit and the shard of a file of rejects with this ending, from its path; `None` for any other path.
#[must_use]
pub(crate) fn of_rejects(path: &str, ending: &str) -> Option<(usize, usize)> {
    parsed(path.strip_prefix(REJECTS)?.strip_prefix("/train-")?.strip_suffix(ending)?)
}

/// The unit and the shard of a shard or of its rejects, from the path of the file.
#[must_use]
pub(crate) fn of_any_file(path: &str) -> Option<(usize, usize)> {
    let of_rejects = || [".jsonl", ".lines"].into_iter().find_map(|ending| of_rejects(path, ending));
    of_shard_file(path).map(|(_, unit, shard)| (unit, shard)).or_else(of_rejects)
}

/// The plan of the `number`-th extension, counted from 1.
#[must_use]
pub(crate) fn extension(number: usize) -> String {
    format!("{PRIVATE}/plan-{number:05}.json")
}

fn numbers(unit: usize, shard: usize) -> String {
    format!("{unit:05}-{shard:05}")
}

/// The two numbers of a name, if they are written as [`numbers`] writes them.
fn parsed(text: &str) -> Option<(usize, usize)> {
    let (unit, shard) = text.split_once('-')?;
    let (unit, shard) = (unit.parse().ok()?, shard.parse().ok()?);
    (text == numbers(unit, shard)).then_some((unit, shard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_were_written_and_no_others_do() {
        for (unit, shard) in [(0, 0), (3, 12), (99_999, 100_000), (1_234_567, 0)] {
            assert_eq!(of_commit(&commit(unit, shard)), Some((unit, shard)));
            for split in DataSplit::ALL {
                let path = shard_file(split, unit, shard);
                assert_eq!(of_shard_file(&path), Some((split, unit, shard)));
                assert_eq!(of_any_file(&path), Some((unit, shard)));
            }
            for ending in [".jsonl", ".lines"] {
                let path = format!("{}{ending}", rejects_stem(unit, shard));
                assert_eq!(of_rejects(&path, ending), Some((unit, shard)));
                assert_eq!(of_any_file(&path), Some((unit, shard)));
            }
        }
        for other in ["0-0", "00001-0", "000001-00000", "+0001-00000", "00001-00000-00000", "", "-", "00001"] {
            assert_eq!(of_commit(&format!("{COMMITS}/{other}.json")), None, "{other}");
            assert_eq!(of_any_file(&format!("{DATA}/train-{other}.parquet")), None, "{other}");
        }
        assert_eq!(of_any_file("data/train-00000-00000.jsonl"), None);
        assert_eq!(of_any_file("rejects/train-00000-00000.parquet"), None);
        assert_eq!(of_any_file("rejects/validation-00000-00000.jsonl"), None);
        assert_eq!(of_any_file("data/test-00000-00000.parquet"), None);
        assert_eq!(extension(2), ".ul2-prep/plan-00002.json");
    }
}
