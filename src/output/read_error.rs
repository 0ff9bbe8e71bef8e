//! Why a shard cannot be read.

use std::io;

/// Why a shard cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Parquet's reason.
    #[error(transparent)]
    Parquet(parquet::errors::ParquetError),
    /// Arrow's reason.
    #[error(transparent)]
    Arrow(arrow::error::ArrowError),
    /// Claims that no shard makes.
    #[error("it is not a shard of this data set: {0}")]
    Shape(String),
}

// The messages of both crates end with the system's message, which is also in the chain, so it would be printed twice.
impl From<parquet::errors::ParquetError> for ReadError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        crate::output::error::system_cause(error).map_or_else(Self::Parquet, Self::Io)
    }
}

impl From<arrow::error::ArrowError> for ReadError {
    fn from(error: arrow::error::ArrowError) -> Self {
        match error {
            arrow::error::ArrowError::IoError(_, cause) => Self::Io(cause),
            arrow::error::ArrowError::ExternalError(cause) => match cause.downcast() {
                Ok(cause) => Self::Io(*cause),
                Err(cause) => Self::Arrow(arrow::error::ArrowError::ExternalError(cause)),
            },
            error => Self::Arrow(error),
        }
    }
}

/// The type that Parquet's readers require; errors on opening carry the path all the same.
#[expect(clippy::disallowed_types, reason = "Parquet reads a plain file")]
pub(super) type PlainFile = std::fs::File;
