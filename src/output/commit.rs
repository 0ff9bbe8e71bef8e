//! The commit record of a shard: created only once, it decides what is finished.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::denoise::DataSplit;
use crate::json::to_json;
use crate::output::counts::Counts;
use crate::output::data_set::{COMMITS, Created, DATA, DataSet, REJECTS};
use crate::output::ours::is_shard_or_rejects;
use crate::output::publish::Published;
use crate::output::temporary::TemporaryFile;
use crate::output::{OutputError, names};

/// The contents of a shard, and the unit's position after it.
///
/// The records of a unit are numbered from 0 without a gap; the last one says that it is the last. Their bytes depend
/// only on the plan and the sources, so two attempts at one shard write the same record, and a different record means
/// that the output was not deterministic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRecord {
    /// Fingerprint of the plan.
    pub(crate) plan: String,
    /// Index of the unit in the plan.
    pub(crate) unit: usize,
    /// 0-based number of the shard in the unit.
    pub(crate) shard: usize,
    /// First batch of the shard.
    pub(crate) first_batch: u64,
    /// One past its last batch.
    pub(crate) end_batch: u64,
    /// Whether this shard finishes the unit.
    pub(crate) last: bool,
    /// The Parquet file; `None` if its batches made no row.
    pub(crate) file: Option<ShardFile>,
    /// The Parquet file of the rows for validation; `None` if its batches made no such row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<ShardFile>,
    /// The rejected lines of its batches.
    pub(crate) rejects: Option<RejectFiles>,
    /// The counts of its batches.
    pub(crate) counts: Counts,
    /// Sources that ended in its batches.
    pub(crate) finished: Vec<FinishedFile>,
    /// The reader's position after its last batch, if inside a source.
    pub(crate) position: Option<ReaderPosition>,
    /// The reader's position before the first batch, if the unit begins inside a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) begin: Option<ReaderPosition>,
}

/// A Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShardFile {
    /// Relative to the data set.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 of its bytes.
    pub(crate) sha256: String,
    /// Number of rows.
    pub(crate) rows: u64,
    /// Number of row groups.
    pub(crate) row_groups: u64,
    /// Digest of its rows ([`RowsDigest`](crate::output::digest::RowsDigest)).
    pub(crate) rows_digest: String,
}

impl ShardFile {
    /// The split of its rows; `None` if its path is not that of a shard.
    #[must_use]
    pub(crate) fn split(&self) -> Option<DataSplit> {
        names::of_shard_file(&self.path).map(|(split, ..)| split)
    }

    /// The unit that made it; `None` if its path is not that of a shard.
    #[must_use]
    pub(crate) fn unit(&self) -> Option<usize> {
        names::of_shard_file(&self.path).map(|(_, unit, _)| unit)
    }
}

/// The two files that keep rejected lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RejectFiles {
    /// The index: one JSON object a reject.
    pub(crate) index: String,
    /// SHA-256 of the index.
    pub(crate) index_sha256: String,
    /// The lines themselves, byte for byte, each followed by a line feed.
    pub(crate) lines: String,
    /// SHA-256 of the lines.
    pub(crate) lines_sha256: String,
    /// Number of rejects.
    pub(crate) count: u64,
}

/// A source read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinishedFile {
    /// Its name.
    pub(crate) name: String,
    /// Its size on disk.
    pub(crate) bytes: u64,
    /// SHA-256 of its bytes on disk.
    pub(crate) sha256: String,
}

/// A position inside a source, with a digest of the bytes that the reader had taken from the file by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReaderPosition {
    /// The source's name.
    pub(crate) source: String,
    /// Lines before the position.
    pub(crate) lines: u64,
    /// Bytes read of the file, read-ahead included.
    pub(crate) file_bytes: u64,
    /// SHA-256 of these bytes.
    pub(crate) file_sha256: String,
}

/// A finished file, and its final name.
pub(crate) type Unnamed = (TemporaryFile, String);

impl CommitRecord {
    /// Gives the shard's files their names, then writes the record, unless another attempt has already done so.
    ///
    /// # Errors
    ///
    /// [`OutputError::NotDeterministic`] if another attempt wrote something else; that stays.
    pub(crate) fn commit(&self, data_set: &DataSet, files: Vec<Unnamed>) -> Result<(), OutputError> {
        match self.try_commit(data_set, files) {
            Ok(()) => Ok(()),
            // A faster attempt may have finished the data set and removed a file as a leftover; or a reply was lost.
            Err(_) if self.is_committed(data_set)? => self.settle(data_set),
            Err(error) => Err(error),
        }
    }

    /// Its Parquet files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &ShardFile> {
        self.file.iter().chain(&self.validation)
    }

    /// The Parquet file of a split.
    pub(super) fn file_mut(&mut self, split: DataSplit) -> &mut Option<ShardFile> {
        match split {
            DataSplit::Train => &mut self.file,
            DataSplit::Validation => &mut self.validation,
        }
    }

    fn try_commit(&self, data_set: &DataSet, files: Vec<Unnamed>) -> Result<(), OutputError> {
        if self.is_committed(data_set)? {
            return self.settle(data_set);
        }
        if self.rejects.is_some() {
            data_set.create_folder(REJECTS)?;
        }
        let (mut ours, mut replaced) = (Vec::new(), Vec::new());
        for (file, name) in files {
            // The file with this name belongs to another attempt: one that is still running, or one that was killed
            // before its commit.
            let file = match data_set.publish_new(file, &name)? {
                Published::New(opened) => {
                    ours.extend(opened.map(|file| (file, name)));
                    continue;
                }
                Published::Taken(file) => file,
            };
            if data_set.holds(&name, &file)? {
                continue;
            }
            if self.is_committed(data_set)? {
                return self.settle(data_set);
            }
            if !is_shard_or_rejects(data_set, &name)? {
                return Err(OutputError::InTheWay(data_set.path(&name)));
            }
            if data_set.place().local().is_some() {
                replaced.push((data_set.open_file(&name)?, name.clone()));
            }
            data_set.publish_unless(file, &name, || self.is_committed(data_set))?;
        }
        match data_set.create_only(&names::commit(self.unit, self.shard), &to_json(self))? {
            // A late attempt has not seen the record, and may have put its own files there.
            Created::New => Ok(ours.iter().try_for_each(|(file, name)| data_set.keep(file, name))?),
            Created::Existing(bytes) if bytes == to_json(self) => self.settle(data_set),
            Created::Existing(_) => {
                // This is the late attempt. The files that it replaced are the recorded ones, unless they have been put
                // back already.
                replaced.iter().try_for_each(|(file, name)| data_set.keep(file, name))?;
                self.is_committed(data_set).map(drop)
            }
        }
    }

    /// Makes what another attempt committed survive a power cut as well.
    fn settle(&self, data_set: &DataSet) -> Result<(), OutputError> {
        let rejects = self.rejects.as_ref().map(|_| REJECTS);
        for folder in [Some(DATA), rejects, Some(COMMITS)].into_iter().flatten() {
            data_set.sync_folder(folder)?;
        }
        Ok(())
    }

    /// Whether this record exists already.
    fn is_committed(&self, data_set: &DataSet) -> Result<bool, OutputError> {
        let name = names::commit(self.unit, self.shard);
        match data_set.read(&name)? {
            None => Ok(false),
            Some(bytes) if bytes == to_json(self) => Ok(true),
            Some(_) => Err(OutputError::NotDeterministic(data_set.path(&name))),
        }
    }

    /// Whether all shards of a unit are committed.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if a record cannot be read.
    pub(crate) fn is_finished(data_set: &DataSet, unit: usize) -> Result<bool, OutputError> {
        Ok(is_finished(&Self::read_unit(data_set, unit)?))
    }

    /// All records of a unit, in order.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if one cannot be read.
    pub(crate) fn read_unit(data_set: &DataSet, unit: usize) -> Result<Vec<Self>, OutputError> {
        let mut records: Vec<Self> = Vec::new();
        while !is_finished(&records) {
            let Some(record) = Self::read(data_set, unit, records.len())? else { break };
            records.push(record);
        }
        Ok(records)
    }

    /// The record of a shard; `None` if it is not committed.
    ///
    /// # Errors
    ///
    /// [`OutputError`] if it cannot be read.
    pub(crate) fn read(data_set: &DataSet, unit: usize, shard: usize) -> Result<Option<Self>, OutputError> {
        let name = names::commit(unit, shard);
        let Some(bytes) = data_set.read(&name)? else { return Ok(None) };
        let damaged = |source| OutputError::Damaged { path: data_set.path(&name), source };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }
}

/// Whether the records of a unit, from its first on, are all of them: the last one says so.
#[must_use]
pub(crate) fn is_finished(records: &[CommitRecord]) -> bool {
    records.last().is_some_and(|record| record.last)
}

/// Checks that the records of a unit are this plan's and follow one another.
///
/// # Errors
///
/// [`OutputError::ForeignRecord`] for the first record that does not.
pub(crate) fn check_records(
    data_set: &DataSet,
    plan: &str,
    unit: usize,
    records: &[CommitRecord],
) -> Result<(), OutputError> {
    let mut first_batch = 0;
    for (shard, record) in records.iter().enumerate() {
        let differs = |key, found: &dyn Display, expected: &dyn Display| {
            let path = data_set.path(&names::commit(unit, shard));
            Err(OutputError::ForeignRecord { path, key, found: found.to_string(), expected: expected.to_string() })
        };
        if record.plan != plan {
            return differs("plan", &record.plan, &plan);
        }
        if record.unit != unit {
            return differs("unit", &record.unit, &unit);
        }
        if record.shard != shard {
            return differs("shard", &record.shard, &shard);
        }
        if record.first_batch != first_batch {
            return differs("first_batch", &record.first_batch, &first_batch);
        }
        if record.end_batch <= first_batch && !record.last {
            return differs("end_batch", &record.end_batch, &format!("more than {first_batch}"));
        }
        first_batch = record.end_batch;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_sorted_keys() {
        // Fails if a dependency switches on `serde_json/preserve_order`.
        let value = serde_json::json!({"b": 1, "a": {"d": 2, "c": 3}});
        assert_eq!(
            String::from_utf8(to_json(&value)).unwrap(),
            "{\n  \"a\": {\n    \"c\": 3,\n    \"d\": 2\n  },\n  \"b\": 1\n}\n"
        );
    }
}
