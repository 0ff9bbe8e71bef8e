//! Why a source, or the list of sources, cannot be read.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::guidance::{Class, Guidance};
use crate::input::compression::ENDINGS;
use crate::input::limits::Limits;
use crate::store::StoreError;

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
    #[error("`{}` is not a source: its name has none of the endings {ENDINGS}", .0.display())]
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

impl Guidance for InputError {
    fn class(&self) -> Option<Class> {
        Some(Class::Data)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { cause, .. } => match cause.kind() {
                _ if is_of_a_store(cause) => None,
                ErrorKind::PermissionDenied => {
                    Some("let this user read the file, then run the same command again".into())
                }
                ErrorKind::NotFound => Some("put the file back, then run the same command again".into()),
                _ if is_of_the_system(cause) => None,
                _ => Some(
                    "the file is truncated or damaged: fetch it again, or leave it out; finished shards are kept"
                        .into(),
                ),
            },
            Self::Dictionary { .. } => Some(
                "decompress the file with its dictionary (`zstd -d -D DICTIONARY FILE`) and give what that writes"
                    .into(),
            ),
            Self::Window { asked, .. } if *asked > Limits::MOST_WINDOW => {
                Some("no decompressor takes such a window: compress the file again".into())
            }
            Self::Window { asked, .. } => {
                Some(format!("`--max-window {asked}` allows it, and takes as much memory for each reading thread"))
            }
            Self::Expansion { .. } => {
                Some("if the source is not a decompression bomb, allow more with `--max-expansion`".into())
            }
            Self::Format { .. } => Some("rename the file, or compress it as its name says".into()),
            Self::OtherTag { .. } => {
                Some("put the old object back, or make the data set anew in another folder".into())
            }
            Self::Changed { .. } => Some("do not write to sources while they are read".into()),
            Self::Spool { .. } => None,
        }
    }
}

/// Whether the operating system reported the error: a decompressor's errors have no number, and only a few kinds.
fn is_of_the_system(error: &std::io::Error) -> bool {
    let of_a_decompressor =
        [ErrorKind::InvalidData, ErrorKind::InvalidInput, ErrorKind::UnexpectedEof, ErrorKind::Other];
    if !of_a_decompressor.contains(&error.kind()) {
        return true;
    }
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            // An error that wraps another reports only the inner one's cause as its source.
            let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<std::io::Error>());
            if error.raw_os_error().or_else(|| inside?.raw_os_error()).is_some() {
                return true;
            }
        }
        link = error.source();
    }
    false
}

fn is_of_a_store(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<StoreError>)
}

impl Guidance for DiscoverError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Nothing(_) | Self::PassedOver { .. } => Some(format!("sources end in {ENDINGS}")),
            Self::SameName { .. } => {
                Some("a source's name is its path below the SOURCE that found it: name a folder above both".into())
            }
            Self::ControlCharacter(_) => {
                Some("rename the file: its name stands in lists that have a name on each line".into())
            }
            Self::NotUtf8(_) => Some("rename the file: a source's name is UTF-8".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_is_not_damaged() {
        let said = |cause| InputError::Read { source_name: "a".to_owned(), line: 0, cause }.hint();
        let of_system = |number| {
            let inner = io::Error::from_raw_os_error(number);
            io::Error::new(inner.kind(), inner)
        };
        assert_eq!(said(fs_err::read_dir("/proc/self/cmdline").unwrap_err()), None, "not a folder");
        assert_eq!(
            said(of_system(13)).as_deref(),
            Some("let this user read the file, then run the same command again")
        );
        assert_eq!(said(of_system(2)).as_deref(), Some("put the file back, then run the same command again"));
        assert_eq!(said(of_system(5)), None);
        assert!(said(io::Error::other("corrupt")).unwrap().starts_with("the file is truncated or damaged"));
    }
}
