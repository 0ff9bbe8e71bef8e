//! The program: from a plan to a finished data set.
//!
//! ```text
//! plan ──▶ units ──▶ lanes (workers that read and commit as well) ──▶ manifest
//!                      │  ▲
//!               batches▼  │row groups, in order
//!                    workers (parse, tokenize, mask, encode)
//! ```
//!
//! [`mod@unit`] is the program itself; [`run`] runs it over the plan; [`ordered`] hands batches to the workers and takes the results
//! back in order.

pub mod crew;
pub mod documents;
pub mod estimate;
pub mod masker;
pub mod memory;
pub mod progress;
pub mod reject_limit;
pub mod row_order;
pub mod run;
pub mod unit;

use std::fmt;

use crate::input::InputError;
use crate::output::OutputError;
use crate::pipeline::reject_limit::{Document, First};

/// Why a unit failed.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// A source.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The data set.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Too many bad lines.
    #[error(
        "{source_name}: {rejected} of {lines} lines are rejected, more than the {allowed} that `--max-rejects` allows; \
         the first is {first}"
    )]
    TooManyRejects {
        /// The source.
        source_name: String,
        /// Rejected so far.
        rejected: u64,
        /// Lines so far.
        lines: u64,
        /// How many are allowed.
        allowed: u64,
        /// The first of them.
        first: Box<First>,
    },
    /// A source of which nothing can be used.
    #[error("{source_name}: no document in {lines}; the first reject is {first}")]
    NoDocument {
        /// The source.
        source_name: String,
        /// Its lines.
        lines: LinesRead,
        /// The first reject.
        first: Box<First>,
    },
    /// A file of JSON that is no JSON lines.
    #[error("{source_name}: the source is one JSON document, not JSON lines; the first reject is {first}")]
    OneDocument {
        /// The source.
        source_name: String,
        /// Where it is.
        place: String,
        /// What it is.
        document: Document,
        /// The first reject.
        first: Box<First>,
    },
    /// A source is not the one that the finished shards were made from.
    #[error("{source_name}: the source changed since the first {lines} lines of it were made into shards")]
    SourceChanged {
        /// The source.
        source_name: String,
        /// Lines that shards were made from.
        lines: u64,
    },
    /// A worker panicked: a bug of ours or of a library.
    #[error("a worker panicked")]
    WorkerPanicked,
    /// The user or the system asked to stop, or another unit failed.
    #[error("stopped")]
    Stopped,
}

/// The lines of a source that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinesRead {
    /// All of them.
    All(u64),
    /// Some of them.
    Sample(u64),
}

impl fmt::Display for LinesRead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(1) => formatter.write_str("its only line"),
            Self::All(lines) => write!(formatter, "its {lines} lines"),
            Self::Sample(1) => formatter.write_str("the line that was looked at"),
            Self::Sample(lines) => write!(formatter, "the {lines} lines that were looked at"),
        }
    }
}
