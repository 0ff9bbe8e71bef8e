//! Lines that make no rows, and why.

use std::fmt;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::spool::new_file;

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
    File(AsideBytes),
}

/// A file that is removed when nobody needs it any more. It stays open, so what is in it can be read even if somebody else removed it.
#[derive(Debug)]
pub struct AsideFile {
    path: PathBuf,
    file: fs::File,
}

/// A stretch of an [`AsideFile`].
#[derive(Debug, Clone)]
pub struct AsideBytes {
    /// The file.
    pub file: Arc<AsideFile>,
    /// Where the stretch begins.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

impl AsideFile {
    /// An empty file of a name that no other has, in `folder`.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create(folder: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            // Processes of one number may share a folder: those of containers.
            let name = format!("long-lines-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(name);
            match new_file(true).open(&path) {
                Ok(file) => {
                    // What is open needs no name, and a process that is killed leaves none. Where a system wants names, it goes when dropped.
                    let _ = fs::remove_file(&path);
                    return Ok(Self { path, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes behind what is there.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }
}

impl AsideBytes {
    /// The bytes.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn contents(&self) -> io::Result<impl Read> {
        let mut file = &self.file.file;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.length))
    }
}

impl Drop for AsideFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // a leftover goes when the data set is finished
    }
}
