//! Lines that make no rows, and why.

use std::fmt;
use std::io::{self, Read, Seek as _, SeekFrom};
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

/// A file that is removed with its owner, who keeps it open: what is in it can be read even if somebody else removed it.
#[derive(Debug)]
pub struct AsideFile {
    path: PathBuf,
    file: fs::File,
}

impl AsideFile {
    /// An empty file.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok(Self { path, file })
    }

    /// The file, to be written to.
    pub fn file(&mut self) -> &mut fs::File {
        &mut self.file
    }

    /// All that was written.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn contents(&self) -> io::Result<impl Read> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

impl Drop for AsideFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // a leftover goes when the data set is finished
    }
}
