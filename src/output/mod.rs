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
pub mod names;
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
pub mod top_files;
pub mod unit;
pub mod unit_writer;

use std::path::PathBuf;

use crate::numbers::exact;

/// What can go wrong with the output.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum OutputError {
    /// A file cannot be written, synced, renamed or read again. The message carries the path.
    #[error("cannot write the data set")]
    Io(#[from] std::io::Error),
    /// Parquet refuses its input.
    #[error("cannot encode Parquet")]
    Parquet(#[source] parquet::errors::ParquetError),
    /// Arrow refuses its input.
    #[error("cannot build Arrow arrays")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A record of the tool that cannot be read.
    #[error("`{}` is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    /// A commit record that does not follow the previous one, or belongs to another plan or shard.
    #[error("`{}` is not a commit record of this shard: `{key}` is {found}, expected {expected}", path.display())]
    ForeignRecord { path: PathBuf, key: &'static str, found: String, expected: String },
    /// Two attempts at the same shard with different bytes.
    #[error("`{}` was committed with other content than this run made: the output is not deterministic", .0.display())]
    NotDeterministic(PathBuf),
    /// A recorded file that is missing or incomplete.
    #[error("`{}` {}, its commit record says {}", path.display(), found.map_or("is missing".to_owned(), |found| format!("has {found}")), exact(*expected, "byte"))]
    Gone {
        path: PathBuf,
        record: PathBuf,
        /// Its size, if it exists.
        found: Option<u64>,
        expected: u64,
    },
    /// A foreign file with a name that the data set needs.
    #[error("`{}` is not a file that `ul2-prep` wrote, and is not replaced", .0.display())]
    InTheWay(PathBuf),
    /// Two units read different bytes from one source.
    #[error("{0}: the source changed while the data set was made: its shards are not of the same bytes")]
    SourceChanged(String),
    /// Another run, with other settings, began in this folder before anything was committed.
    #[error("`{}` was replaced by a run with other settings before this one committed a shard", .0.display())]
    PlanReplaced(PathBuf),
    /// Not every shard of the plan is committed.
    #[error("unit {0} is not finished")]
    Unfinished(usize),
}

/// A full disk is not Parquet's fault; besides, Parquet's message ends with its cause's message, which would be printed
/// twice.
impl From<parquet::errors::ParquetError> for OutputError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        system_cause(error).map_or_else(Self::Parquet, Self::Io)
    }
}

/// The system's error, if Parquet's error has no other information.
fn system_cause(error: parquet::errors::ParquetError) -> Result<std::io::Error, parquet::errors::ParquetError> {
    use parquet::errors::ParquetError::External;
    match error {
        External(cause) => cause.downcast().map(|error| *error).map_err(External),
        error => Err(error),
    }
}
