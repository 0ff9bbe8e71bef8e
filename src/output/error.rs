//! Why a data set cannot be written, or its files cannot be used.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::guidance::{Class, Guidance};
use crate::numbers::exact;

/// What can go wrong with the output.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum OutputError {
    /// A file cannot be written, synced, renamed or read again. The message carries the path.
    #[error("cannot write the data set")]
    Io(#[from] io::Error),
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
pub(super) fn system_cause(error: parquet::errors::ParquetError) -> Result<io::Error, parquet::errors::ParquetError> {
    use parquet::errors::ParquetError::External;
    match error {
        External(cause) => cause.downcast().map(|error| *error).map_err(External),
        error => Err(error),
    }
}

impl Guidance for OutputError {
    fn class(&self) -> Option<Class> {
        Some(Class::Data)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io(error) => of_system(error),
            Self::SourceChanged(_) => {
                Some("put the old source back, or make the data set anew in another folder".into())
            }
            Self::Gone { record, found, .. } => {
                let record = record.display();
                let removed = if found.is_some() { format!("it and `{record}`") } else { format!("`{record}`") };
                Some(format!("put the file back; or remove {removed}, and the same `ul2-prep run` makes both again"))
            }
            Self::InTheWay(_) => Some("move the file elsewhere and run the same command again".into()),
            Self::PlanReplaced(_) => Some("name another folder with `--out`, or end the other run first".into()),
            Self::Damaged { .. } | Self::ForeignRecord { .. } => {
                Some("make the data set anew in another folder".into())
            }
            _ => None,
        }
    }
}

/// A file system that has no hard links, and no rename that keeps an existing file.
#[derive(Debug, thiserror::Error)]
#[error(
    "the file system of `{folder}` has neither hard links nor a rename that replaces nothing: a data set cannot be made there"
)]
pub(crate) struct NoNewNames {
    pub(super) folder: String,
    #[source]
    pub(super) cause: io::Error,
}

impl From<NoNewNames> for io::Error {
    fn from(error: NoNewNames) -> Self {
        Self::new(ErrorKind::Unsupported, error)
    }
}

impl Guidance for NoNewNames {
    fn hint(&self) -> Option<String> {
        Some("make the data set on another file system, and copy it there when it is finished".into())
    }
}

/// The hint for an error of the system, in a file of a data set.
#[must_use]
pub(crate) fn of_system(error: &io::Error) -> Option<String> {
    let no_new_names = error.get_ref().and_then(|inner| inner.downcast_ref::<NoNewNames>());
    no_new_names.map_or_else(|| error.hint(), NoNewNames::hint)
}
