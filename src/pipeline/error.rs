//! Why a unit or a run failed.

use crate::guidance::{Class, Guidance};
use crate::input::InputError;
use crate::input::compression::Compression;
use crate::numbers::exact;
use crate::output::OutputError;
use crate::pipeline::first_reject::{Document, First, LinesRead};
use crate::plan::error::PlanError;
use crate::plan::state::ranges;
use crate::reject::Reason;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub(crate) enum RunError {
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
        None => "committed shards are kept, the same command resumes after them".to_owned(),
        Some(0) => "no shard is finished yet, the same command starts over".to_owned(),
        Some(1) => "1 finished shard is kept, the same command resumes after it".to_owned(),
        Some(shards) => format!("{shards} finished shards are kept, the same command resumes after them"),
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

impl Guidance for RunError {
    fn class(&self) -> Option<Class> {
        match self {
            // Transparent errors do not appear in the chain themselves.
            Self::Plan(error) => error.class(),
            Self::Interrupted { signal, .. } => Some(Class::Interrupted(*signal)),
            Self::Missing { .. } => Some(Class::NotDone),
            Self::OnlyUnit(_) | Self::Unit { .. } | Self::Output(_) => Some(Class::Data),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Output(error) => error.hint(),
            Self::OnlyUnit(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::Missing { .. } => {
                Some("make them with `ul2-prep run --plan DIR --unit K`, then finalize again".into())
            }
            Self::Interrupted { shards: Some(0), .. } => Some("a smaller `--shard-size` commits more often".into()),
            _ => None,
        }
    }
}

impl Guidance for UnitError {
    fn class(&self) -> Option<Class> {
        Some(Class::Data)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Input(error) => error.hint(),
            Self::Output(error) => error.hint(),
            Self::OneDocument { place, document, .. } => Some(as_lines(place, *document)),
            Self::TooManyRejects { first, .. } | Self::NoDocument { first, .. } => {
                let of_reason = match first.reason() {
                    Some(Reason::MissingText) => "name the field that holds the text with `--text-field`",
                    Some(Reason::MissingLabel) => "name the field that holds the label with `--label-field`",
                    Some(Reason::NotAnObject) => "a source holds one JSON object a line",
                    _ if matches!(self, Self::NoDocument { .. }) => "mend the source, or leave it out",
                    _ => "mend the source, or allow more with `--max-rejects`",
                };
                Some(of_reason.into())
            }
            Self::SourceChanged { .. } => {
                Some("put the old source back, or make the data set anew in another folder".into())
            }
            _ => None,
        }
    }
}

/// A command that turns a file with one JSON document into JSON lines.
fn as_lines(place: &str, document: Document) -> String {
    let filter = match document {
        Document::Array => "'.[]'",
        Document::Object => ".",
    };
    let file_name = place.rsplit('/').next().unwrap_or(place);
    let stem = file_name.split('.').next().unwrap_or(file_name);
    let (file, lines) = (quoted(place), quoted(&format!("{stem}.lines.jsonl")));
    let command = match Compression::of(place) {
        _ if place.contains("://") => format!("jq -c {filter} FILE > {lines}"),
        Some(Compression::Zstd) => format!("zstd -dc {file} | jq -c {filter} > {lines}"),
        Some(Compression::Gzip) => format!("gzip -dc {file} | jq -c {filter} > {lines}"),
        _ => format!("jq -c {filter} {file} > {lines}"),
    };
    format!("`{command}` writes one record a line: give that file instead")
}

/// A word quoted for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if word.chars().all(is_plain) && !word.starts_with('-') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
