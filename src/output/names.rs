//! The names of a data set's files: written and read here alone.
//!
//! A unit and the number of a shard in it have five digits at least, so that names sort as the rows do.

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

/// What the files of a shard and of its rejects begin with: `train-00003-00000`.
#[must_use]
pub(crate) fn stem(unit: usize, shard: usize) -> String {
    format!("train-{}", numbers(unit, shard))
}

/// The unit and the shard of a file in `folder` with this ending, from its path; `None` for any other path.
#[must_use]
pub(crate) fn of_file(path: &str, folder: &str, ending: &str) -> Option<(usize, usize)> {
    parsed(path.strip_prefix(folder)?.strip_prefix("/train-")?.strip_suffix(ending)?)
}

/// The unit and the shard of a shard or of its rejects, from the path of the file.
#[must_use]
pub(crate) fn of_any_file(path: &str) -> Option<(usize, usize)> {
    let endings = [(DATA, ".parquet"), (REJECTS, ".jsonl"), (REJECTS, ".lines")];
    endings.into_iter().find_map(|(folder, ending)| of_file(path, folder, ending))
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
            for (folder, ending) in [(DATA, ".parquet"), (REJECTS, ".jsonl"), (REJECTS, ".lines")] {
                let path = format!("{folder}/{}{ending}", stem(unit, shard));
                assert_eq!(of_file(&path, folder, ending), Some((unit, shard)));
                assert_eq!(of_any_file(&path), Some((unit, shard)));
            }
        }
        for other in ["0-0", "00001-0", "000001-00000", "+0001-00000", "00001-00000-00000", "", "-", "00001"] {
            assert_eq!(of_commit(&format!("{COMMITS}/{other}.json")), None, "{other}");
            assert_eq!(of_any_file(&format!("{DATA}/train-{other}.parquet")), None, "{other}");
        }
        assert_eq!(of_any_file("data/train-00000-00000.jsonl"), None);
        assert_eq!(of_any_file("rejects/train-00000-00000.parquet"), None);
        assert_eq!(extension(2), ".ul2-prep/plan-00002.json");
    }
}
