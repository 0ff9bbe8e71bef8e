//! From rows to files.
//!
//! ```text
//! rows ──RowGroupBuilder─▶  encoded row group ──ShardWriter──▶ temporary file ──commit──▶ DIR/data/….parquet
//!      (on a worker)                          (in order)                                + its commit record
//! ```
//!
//! Only this module names Arrow or Parquet. A file with its final name is complete and described by a commit record
//! (`docs/reference/format.md`).

pub mod card;
pub mod commit;
pub mod counts;
pub mod data_set;
pub mod digest;
pub mod encode;
pub mod encoding;
pub mod faults;
pub mod fetched;
pub mod manifest;
pub mod ours;
pub mod read;
pub mod read_error;
pub mod rebuild;
pub mod rejects;
pub mod schema;
mod shape;
pub mod sums;
pub mod temporary;
mod thrift;
pub mod top;
pub mod unit;
pub mod unit_writer;

use std::path::PathBuf;

use crate::numbers::exact;

/// What can go wrong with the output.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A file cannot be written, synced, renamed or read again. The message carries the path.
    #[error("cannot write the data set")]
    Io(#[from] std::io::Error),
    /// Parquet refuses what it is given.
    #[error("cannot encode Parquet")]
    Parquet(#[source] parquet::errors::ParquetError),
    /// Arrow refuses what it is given.
    #[error("cannot build Arrow arrays")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A record of ours that cannot be read.
    #[error("`{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A commit record that does not go on where the one before it ended, or is of another plan or shard.
    #[error("`{}` is no commit record of this shard: `{key}` is {found}, expected {expected}", path.display())]
    ForeignRecord {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it would say.
        expected: String,
    },
    /// Two attempts at the same shard with different bytes.
    #[error("`{}` was committed with other content than this run made: the output is not deterministic", .0.display())]
    NotDeterministic(PathBuf),
    /// A file that a record tells of is not there, or not whole.
    #[error("`{}` {}, its commit record says {}", path.display(), found.map_or("is missing".to_owned(), |found| format!("has {found}")), exact(*expected, "byte"))]
    Gone {
        /// The file.
        path: PathBuf,
        /// The record.
        record: PathBuf,
        /// Its size, if it is there.
        found: Option<u64>,
        /// The size that it should have.
        expected: u64,
    },
    /// A file has a name of the data set's, and is not one that the tool wrote.
    #[error("`{}` is not a file that `ul2-prep` wrote, and is not replaced", .0.display())]
    InTheWay(PathBuf),
    /// Two units read different bytes from one source.
    #[error("{0}: the source changed while the data set was made: its shards are not of the same bytes")]
    SourceChanged(String),
    /// Another run, with other settings, began in this place before anything was committed.
    #[error("`{}` was replaced by a run with other settings before this one committed a shard", .0.display())]
    PlanReplaced(PathBuf),
    /// Not every shard that the plan asks for is committed.
    #[error("unit {0} is not finished")]
    Unfinished(usize),
}

/// A disk that is full is no matter of Parquet's, whose message ends with its cause's and so would say it twice.
impl From<parquet::errors::ParquetError> for OutputError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        system_cause(error).map_or_else(Self::Parquet, Self::Io)
    }
}

/// What the system says, if that is all that Parquet has to say.
fn system_cause(error: parquet::errors::ParquetError) -> Result<std::io::Error, parquet::errors::ParquetError> {
    use parquet::errors::ParquetError::External;
    match error {
        External(cause) => cause.downcast().map(|error| *error).map_err(External),
        error => Err(error),
    }
}
