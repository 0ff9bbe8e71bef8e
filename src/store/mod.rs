//! Where things are: in a folder, or in an object store. Only this module names `object_store`.
//!
//! A store is used as a folder that has no folders: objects with names, put whole, read in pieces. Everything here waits until it is done: the
//! threads that read and write are those of the run.

mod error;
#[cfg(feature = "object-store")]
mod remote;
#[cfg(not(feature = "object-store"))]
#[path = "without.rs"]
mod remote;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use error::{StoreError, is_transient};
pub use remote::{Pieces, Remote};

/// Schemes of a URL that is a store, as messages list them.
pub const SCHEMES: &str = "`s3`, `gs`, `az`, `http`, `https` or `file`";

/// A place: a file, a folder, an object, or all objects below a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Local(PathBuf),
    /// In a store.
    Remote(Remote),
}

/// An object of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name, below the place that was listed.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What changes with its content: the store's entity tag, if it has one.
    pub tag: Option<String>,
}

/// What came of putting an object, or a file, only if there is none of its name.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// There was one already, with these bytes.
    Existing(Vec<u8>),
}

impl Location {
    /// A path, or a URL of a scheme that is known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is a URL of another scheme, or no place in its store; what its store needs may be missing in the environment.
    pub fn parse(text: &str) -> io::Result<Self> {
        match scheme(text) {
            None => Ok(Self::Local(PathBuf::from(text))),
            Some("file") => match text.strip_prefix("file://").filter(|path| path.starts_with('/')) {
                Some(path) => Ok(Self::Local(PathBuf::from(path))),
                None => Err(StoreError::url(text, "the path of a `file` URL begins with `/`").into()),
            },
            Some(_) => Remote::parse(text).map(Self::Remote),
        }
    }

    /// What is below it by this name.
    #[must_use]
    pub fn join(&self, relative: &str) -> Self {
        match self {
            Self::Local(path) => Self::Local(path.join(relative)),
            Self::Remote(remote) => Self::Remote(remote.join(relative)),
        }
    }

    /// The path, if it is on this machine.
    #[must_use]
    pub fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Remote(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(formatter),
            Self::Remote(remote) => remote.fmt(formatter),
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Local(path.to_owned())
    }
}

/// The scheme of a URL; `None` of a path.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    is_scheme.then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_a_url() {
        assert_eq!(Location::parse("a/b").unwrap(), Location::Local("a/b".into()));
        assert_eq!(Location::parse("C:/b://c").unwrap(), Location::Local("C:/b://c".into()));
        assert_eq!(Location::parse("file:///a/b").unwrap(), Location::Local("/a/b".into()));
        for bad in
            ["file://a/b", "hdfs://a/b", "s3://", "s3:///a", "https://host/a?b=c", "https://host/", "s3://b/a//c"]
        {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    #[cfg(feature = "object-store")]
    fn a_url_is_shown_as_it_was_given() {
        for url in ["s3://bucket/a/b c.jsonl", "gs://bucket/a", "https://host:8080/a/b%20c.jsonl", "s3://bucket"] {
            assert_eq!(Location::parse(url).unwrap().to_string(), url);
        }
        assert_eq!(Location::parse("s3://bucket/a/").unwrap().join("data/b").to_string(), "s3://bucket/a/data/b");
    }
}
