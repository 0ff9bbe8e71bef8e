//! The first reject of a source, which may explain the whole source.

use std::fmt;
use std::io::Read as _;

use crate::denoise::Spec;
use crate::input::jsonl::without_mark;
use crate::reject::{KeptBytes, Reason, Reject, Rejected};

/// The first reject of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// A reject that this run has seen.
    Seen {
        /// Source and line, if the line is known.
        place: String,
        /// Why.
        rejected: Rejected,
        /// The field that the record lacks, if that is the reason.
        field: Option<String>,
    },
    /// A reject in a committed shard.
    Earlier,
}

impl First {
    /// The first reject of a source whose records are read by this spec.
    #[must_use]
    pub(crate) fn new(reject: &Reject<'_>, spec: &Spec) -> Self {
        let fields = spec.fields();
        let field = match reject.rejected.reason {
            Reason::MissingText => Some(fields.text_field.clone()),
            Reason::MissingLabel => fields.label_field.clone(),
            _ => None,
        };
        Self::Seen { place: format!("{}:{}", reject.source, reject.line), rejected: reject.rejected.clone(), field }
    }

    /// The same reject without its line, where lines are counted from another start.
    #[must_use]
    pub(crate) fn without_line(self, source_name: &str) -> Self {
        match self {
            Self::Seen { place: _, rejected, field } => Self::Seen { place: source_name.to_owned(), rejected, field },
            Self::Earlier => Self::Earlier,
        }
    }

    /// The reason, if it is known.
    #[must_use]
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Seen { rejected, .. } => Some(rejected.reason),
            Self::Earlier => None,
        }
    }
}

impl fmt::Display for First {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen { place, rejected: Rejected { reason, detail }, field } => {
                write!(formatter, "{place}: {reason}: ")?;
                if let Some(field) = field {
                    write!(formatter, "no field `{field}`, ")?;
                }
                formatter.write_str(detail)
            }
            Self::Earlier => formatter.write_str("in an earlier shard: see the index under `rejects/`"),
        }
    }
}

/// The kind of a source that is one JSON document over many lines instead of JSON lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// An array of records.
    Array,
    /// An object, or several.
    Object,
}

impl Document {
    /// The kind of document that a rejected first record begins. `is_only` says whether it is the only record of its
    /// source.
    #[must_use]
    pub(crate) fn begun_by(reject: &Reject<'_>, is_only: bool) -> Option<Self> {
        let mut start = Vec::new();
        match reject.bytes {
            KeptBytes::Inline(bytes) => start.extend_from_slice(&bytes[..bytes.len().min(START)]),
            KeptBytes::File(file) => drop(file.contents().ok()?.take(START as u64).read_to_end(&mut start).ok()?),
        }
        let start = without_mark(reject.line, &start).trim_ascii();
        let Rejected { reason, detail } = reject.rejected;
        match reason {
            Reason::InvalidJson if start == b"{" => Some(Self::Object),
            Reason::InvalidJson if start.starts_with(b"[") && detail.starts_with("EOF while parsing") => {
                Some(Self::Array)
            }
            Reason::NotAnObject | Reason::LineTooLong if start.starts_with(b"[") && is_only => Some(Self::Array),
            _ => None,
        }
    }
}

/// Bytes of a line that show whether a JSON document begins with it.
const START: usize = 64;

/// How many lines of a source were read.
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
