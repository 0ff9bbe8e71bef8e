//! Turns files into records.
//!
//! [`source`] finds the files, [`reader`] opens and decompresses one, [`batch`] cuts the lines of a unit into batches,
//! and [`jsonl`] turns one line into a text or the reason for its rejection.

pub mod batch;
pub mod buffers;
pub mod frames;
pub mod jsonl;
mod leading_text;
pub mod reader;
pub mod source;

use std::path::PathBuf;

/// What can go wrong with a source as a whole. A bad line is not an error but a [`Reject`](crate::reject::Reject).
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum InputError {
    /// The file cannot be opened or read, or its compressed stream is truncated or corrupt.
    #[error("{source_name}: cannot be read after line {line}")]
    Read {
        source_name: String,
        /// The last whole line that was read.
        line: u64,
        #[source]
        cause: std::io::Error,
    },
    /// A long line could not be moved into a file.
    #[error("{source_name}:{line}: the line is longer than `--max-line` and cannot be put aside")]
    Spool {
        source_name: String,
        line: u64,
        #[source]
        cause: std::io::Error,
    },
    /// A Zstandard frame that asks for a larger window than allowed.
    #[error("{source_name}: a frame asks for a Zstandard window of {asked} bytes, `--max-window` allows {allowed}")]
    Window { source_name: String, asked: u64, allowed: u64 },
    /// A Zstandard frame that was compressed with a dictionary.
    #[error(
        "{source_name}: a frame needs the Zstandard dictionary of ID {id}, and sources are read without dictionaries"
    )]
    Dictionary {
        source_name: String,
        /// The dictionary's ID, as the frame's header names it.
        id: u32,
    },
    /// A source that decompresses to far more than its file's size.
    #[error(
        "{source_name}: {file} bytes of the file became {text} bytes after line {line}, more than the {allowed} times that \
         `--max-expansion` allows"
    )]
    Expansion {
        source_name: String,
        /// The last whole line that was read.
        line: u64,
        file: u64,
        text: u64,
        allowed: u64,
    },
    /// A file whose contents do not match its name.
    #[error("{source_name}: the name ends in `{ending}`, but the content is {found}")]
    Format {
        source_name: String,
        /// The ending, as the name has it.
        ending: String,
        found: &'static str,
    },
    /// The object has changed since the data set was planned.
    #[error("{source_name}: the store holds another object of this name than when the plan was written")]
    OtherTag { source_name: String },
    /// The file has changed since the data set was planned.
    #[error("{source_name}: the source has {found} bytes, but had {planned} when this data set was begun")]
    Changed { source_name: String, planned: u64, found: u64 },
}

/// Why the list of sources cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum DiscoverError {
    /// A SOURCE that does not exist or cannot be listed.
    #[error("cannot read SOURCE")]
    Read(#[from] std::io::Error),
    /// A folder, or a match of a glob, that cannot be read.
    #[error("cannot read `{}`", path.display())]
    List { path: PathBuf, source: std::io::Error },
    /// A folder whose links form a cycle.
    #[error("cannot walk SOURCE: {0}")]
    Circle(walkdir::Error),
    /// An invalid glob.
    #[error("`{pattern}` is not a valid glob")]
    Pattern { pattern: String, source: glob::PatternError },
    /// A path that does not exist.
    #[error("no such file or folder: `{}`", .0.display())]
    Missing(PathBuf),
    /// A link to nothing.
    #[error("`{}` is a link that leads nowhere", .0.display())]
    DanglingLink(PathBuf),
    /// No file at all.
    #[error("no source in `{0}`")]
    Nothing(String),
    /// Only files that cannot be sources.
    #[error("no source in `{argument}`; passed over: {passed_over}")]
    PassedOver { argument: String, passed_over: String },
    /// A file given by its path, with an unknown ending.
    #[error("`{}` is not a source: its name has none of the endings {ENDINGS}", .0.display(), ENDINGS = source::ENDINGS)]
    Ending(PathBuf),
    /// A pipe, a device or a socket.
    #[error("`{}` is not a source: it is neither a file nor a folder", .0.display())]
    NoFile(PathBuf),
    /// A name that leads out of its folder.
    #[error("the source name `{0}` has a `..`")]
    ParentFolder(String),
    /// Two sources with one name.
    #[error("two sources are named `{name}`: `{first}` and `{second}`")]
    SameName { name: String, first: String, second: String },
    /// A path that is not UTF-8.
    #[error("the path `{}` is not UTF-8, so the source has no name", .0.display())]
    NotUtf8(PathBuf),
    /// A name with a control character, which would break a list of lines.
    #[error("the source name {0:?} has a control character")]
    ControlCharacter(String),
}

// Each crate's message ends with the system's message, which is also in the chain, so it would be printed twice.
impl From<walkdir::Error> for DiscoverError {
    fn from(error: walkdir::Error) -> Self {
        let path = error.path().map(PathBuf::from).unwrap_or_default();
        if error.loop_ancestor().is_some() {
            return Self::Circle(error);
        }
        let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("it cannot be walked"));
        Self::List { path, source }
    }
}

impl From<glob::GlobError> for DiscoverError {
    fn from(error: glob::GlobError) -> Self {
        Self::List { path: error.path().to_owned(), source: error.into() }
    }
}
