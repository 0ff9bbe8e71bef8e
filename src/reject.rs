//! Lines that make no rows, and why.

use std::fmt;
use std::path::PathBuf;

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// Why a line makes no rows. A closed set: these are the words in the manifest and beside each reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The line is longer than `--max-line`.
    LineTooLong,
    /// The line is not UTF-8.
    InvalidUtf8,
    /// The line is not one JSON value.
    InvalidJson,
    /// The line is JSON, but no object.
    NotAnObject,
    /// The object has no field of that name.
    MissingText,
    /// The field is not a string.
    TextNotAString,
    /// The text is empty, or has no tokens.
    EmptyText,
    /// The object has no field of the label's name.
    MissingLabel,
    /// The label is not a string.
    LabelNotAString,
    /// The label is empty, or has no tokens.
    EmptyLabel,
    /// The label alone is too long for a row.
    LabelTooLong,
    /// The text gives an id that is reserved.
    ReservedToken,
    /// The tokenizer failed on the text.
    TokenizerFailed,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::LineTooLong => "line-too-long",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::InvalidJson => "invalid-json",
            Self::NotAnObject => "not-an-object",
            Self::MissingText => "missing-text",
            Self::TextNotAString => "text-not-a-string",
            Self::EmptyText => "empty-text",
            Self::MissingLabel => "missing-label",
            Self::LabelNotAString => "label-not-a-string",
            Self::EmptyLabel => "empty-label",
            Self::LabelTooLong => "label-too-long",
            Self::ReservedToken => "reserved-token",
            Self::TokenizerFailed => "tokenizer-failed",
        })
    }
}

/// A reason with what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// What exactly, for a person.
    pub detail: String,
}

impl Rejected {
    /// A rejection.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// A line that makes no rows.
#[derive(Debug)]
pub struct Reject {
    /// Name of the source.
    pub source: String,
    /// 1-based line.
    pub line: u64,
    /// Why.
    pub rejected: Rejected,
    /// The line, byte for byte.
    pub bytes: KeptBytes,
}

/// The bytes of a rejected line.
#[derive(Debug)]
pub enum KeptBytes {
    /// In memory.
    Inline(Vec<u8>),
    /// In a file, because they are too many.
    File(AsideFile),
}

/// A file that is removed with its owner.
#[derive(Debug)]
pub struct AsideFile(pub PathBuf);

impl Drop for AsideFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // a leftover goes when the data set is finished
    }
}
