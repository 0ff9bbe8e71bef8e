//! Why a unit or a run failed.

use crate::input::InputError;
use crate::numbers::exact;
use crate::output::OutputError;
use crate::pipeline::first_reject::{Document, First, LinesRead};
use crate::plan::error::PlanError;
use crate::plan::state::ranges;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum RunError {
    /// The data set's plans conflict with the plan asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Units are not done.
    #[error("{} of {} not done: {}", missing.len(), exact(*units as u64, "unit"), ranges(missing))]
    Missing { units: usize, missing: Vec<usize> },
    /// The only unit failed, or all units of a source: a unit number would add nothing.
    #[error(transparent)]
    OnlyUnit(UnitError),
    /// A unit failed.
    #[error("unit {unit} of {units} failed")]
    Unit {
        /// 0-based.
        unit: usize,
        units: usize,
        source: UnitError,
    },
    /// The data set cannot be begun or finished.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A signal asked to stop.
    #[error("interrupted: {}", kept(*shards))]
    Interrupted {
        signal: usize,
        /// Committed shards of the units to be made; `None` if the store was not asked before the end.
        shards: Option<usize>,
    },
}

/// The part of a run that is kept.
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
#[allow(missing_docs, reason = "the message says it")]
pub enum UnitError {
    /// A source cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The data set cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Too many rejected lines.
    #[error(
        "{source_name}: {rejected} of {lines} lines are rejected, more than the {allowed} that `--max-rejects` allows; \
         the first is {first}"
    )]
    TooManyRejects { source_name: String, rejected: u64, lines: u64, allowed: u64, first: Box<First> },
    /// A source without a single usable document.
    #[error("{source_name}: no document in {lines}; the first reject is {first}")]
    NoDocument { source_name: String, lines: LinesRead, first: Box<First> },
    /// A JSON file that is not JSON lines.
    #[error("{source_name}: the source is one JSON document, not JSON lines; the first reject is {first}")]
    OneDocument { source_name: String, place: String, document: Document, first: Box<First> },
    /// A source has changed since the finished shards were made.
    #[error("{source_name}: the source changed since the first {lines} lines of it were made into shards")]
    SourceChanged { source_name: String, lines: u64 },
    /// A worker panicked: a bug in the tool or in a library.
    #[error("a worker panicked")]
    WorkerPanicked,
    /// The user or the system asked to stop, or another unit failed.
    #[error("stopped")]
    Stopped,
}
