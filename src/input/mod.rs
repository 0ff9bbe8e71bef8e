//! From files to records.
//!
//! [`source`] finds the files, [`reader`] opens and decompresses one, [`batch`] cuts the lines of a unit into batches,
//! and [`jsonl`] turns one line into a text or the reason why it is none.

pub mod batch;
pub mod buffers;
pub mod frames;
pub mod jsonl;
mod leading;
pub mod reader;
pub mod source;

use std::path::PathBuf;

/// What can go wrong with a source as a whole. A bad line is no error but a [`Reject`](crate::reject::Reject).
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file cannot be opened or read, or its compressed stream is truncated or corrupt.
    #[error("{source_name}: cannot be read after line {line}")]
    Read {
        /// The source.
        source_name: String,
        /// The last whole line that was read.
        line: u64,
        /// What the system or the decompressor says.
        #[source]
        cause: std::io::Error,
    },
    /// A long line could not be put aside.
    #[error("{source_name}:{line}: the line is longer than `--max-line` and cannot be put aside")]
    Spool {
        /// The source.
        source_name: String,
        /// The line.
        line: u64,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// A Zstandard frame that asks for a larger window than is allowed.
    #[error("{source_name}: a frame asks for a Zstandard window of {asked} bytes, `--max-window` allows {allowed}")]
    Window {
        /// The source.
        source_name: String,
        /// The largest window that a frame asks for.
        asked: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// A Zstandard frame that was compressed with a dictionary.
    #[error(
        "{source_name}: a frame needs the Zstandard dictionary of ID {id}, and sources are read without dictionaries"
    )]
    Dictionary {
        /// The source.
        source_name: String,
        /// The dictionary's ID, as the frame's header names it.
        id: u32,
    },
    /// A source that unfolds to very much more than its file has.
    #[error(
        "{source_name}: {file} bytes of the file became {text} bytes after line {line}, more than the {allowed} times that \
         `--max-expansion` allows"
    )]
    Expansion {
        /// The source.
        source_name: String,
        /// The last whole line that was read.
        line: u64,
        /// Bytes of the file.
        file: u64,
        /// Bytes decompressed.
        text: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// A file that is not of the kind its name says.
    #[error("{source_name}: the name ends in `{ending}`, but the content is {found}")]
    Format {
        /// The source.
        source_name: String,
        /// The ending, as the name has it.
        ending: String,
        /// What the first bytes say.
        found: &'static str,
    },
    /// The object is not the one the data set was planned with.
    #[error("{source_name}: the store holds another object of this name than when the plan was written")]
    OtherTag {
        /// The source.
        source_name: String,
    },
    /// The file is not the one the data set was planned with.
    #[error("{source_name}: the source has {found} bytes, but had {planned} when this data set was begun")]
    Changed {
        /// The source.
        source_name: String,
        /// Bytes when planned.
        planned: u64,
        /// Bytes now.
        found: u64,
    },
}

/// Why the list of sources cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// A SOURCE that does not exist or cannot be listed.
    #[error("cannot read SOURCE")]
    Read(#[from] std::io::Error),
    /// A folder, or what a glob matches, that cannot be read.
    #[error("cannot read `{}`", path.display())]
    List {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A folder whose links go in a circle.
    #[error("cannot walk SOURCE: {0}")]
    Circle(walkdir::Error),
    /// A glob that is none.
    #[error("`{pattern}` is no glob")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: glob::PatternError,
    },
    /// A path that leads nowhere.
    #[error("no such file or folder: `{}`", .0.display())]
    Missing(PathBuf),
    /// A link that leads nowhere.
    #[error("`{}` is a link that leads nowhere", .0.display())]
    DanglingLink(PathBuf),
    /// No file at all.
    #[error("no source in `{0}`")]
    Nothing(String),
    /// Only files that cannot be read.
    #[error("no source in `{argument}`; passed over: {passed_over}")]
    PassedOver {
        /// The SOURCE.
        argument: String,
        /// The names of the first files.
        passed_over: String,
    },
    /// A file given by itself whose ending is unknown.
    #[error("`{}` is no source: its name has none of the endings {ENDINGS}", .0.display(), ENDINGS = source::ENDINGS)]
    Ending(PathBuf),
    /// A pipe, a device or a socket.
    #[error("`{}` is no source: it is neither a file nor a folder", .0.display())]
    NoFile(PathBuf),
    /// A name that leads out of its folder.
    #[error("the source name `{0}` has a `..`")]
    ParentFolder(String),
    /// Two sources of one name.
    #[error("two sources are named `{name}`: `{first}` and `{second}`")]
    SameName {
        /// The name.
        name: String,
        /// Where it was found first.
        first: String,
        /// Where it was found again.
        second: String,
    },
    /// A path that is not UTF-8.
    #[error("the path `{}` is not UTF-8, so the source has no name", .0.display())]
    NotUtf8(PathBuf),
    /// A name that cannot stand in a list of lines.
    #[error("the source name {0:?} has a control character")]
    ControlCharacter(String),
}

// The message of each crate ends with what the system says, which stands in the chain as well: so it was said twice.
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
