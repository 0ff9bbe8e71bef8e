//! Why a unit or a run failed.

use crate::input::InputError;
use crate::numbers::exact;
use crate::output::OutputError;
use crate::pipeline::first_reject::{Document, First, LinesRead};
use crate::plan::error::PlanError;
use crate::plan::state::ranges;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plans of the data set do not go with what is asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Units are not done.
    #[error("{} of {} not done: {}", missing.len(), exact(*units as u64, "unit"), ranges(missing))]
    Missing {
        /// Number of units.
        units: usize,
        /// Those that are not done.
        missing: Vec<usize>,
    },
    /// The only unit failed, or all units of a source together: no number says more.
    #[error(transparent)]
    OnlyUnit(UnitError),
    /// A unit failed.
    #[error("unit {unit} of {units} failed")]
    Unit {
        /// 0-based.
        unit: usize,
        /// Number of units.
        units: usize,
        /// Why.
        source: UnitError,
    },
    /// The data set cannot be begun or finished.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A signal asked to stop.
    #[error("interrupted: {}", kept(*shards))]
    Interrupted {
        /// The signal's number.
        signal: usize,
        /// Committed shards of the units that were to be made; `None` if the store was not asked any more.
        shards: Option<usize>,
    },
}

/// What of a run is not lost.
fn kept(shards: Option<usize>) -> String {
    match shards {
        None => "what is committed stays, the same command goes on from there".to_owned(),
        Some(0) => "nothing is committed yet, the same command begins again".to_owned(),
        Some(1) => "1 finished shard is kept, the same command goes on after it".to_owned(),
        Some(shards) => format!("{shards} finished shards are kept, the same command goes on after them"),
    }
}

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
