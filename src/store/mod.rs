//! Where things are: in a folder, or in an object store. Only this module names `object_store`.
//!
//! A store is used as a folder that has no folders: objects with names, put whole, read in pieces. Everything here waits until it is done: the
//! threads that read and write are those of the run.

#[cfg(feature = "object-store")]
mod answer;
mod error;
#[cfg(feature = "object-store")]
mod remote;
#[cfg(not(feature = "object-store"))]
#[path = "disabled.rs"]
mod remote;
#[cfg(feature = "object-store")]
mod web;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

pub use crate::store::error::{StoreError, is_transient};
pub use crate::store::remote::{Pieces, Remote};

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
    /// If it is empty; [`StoreError`] if it is a URL of another scheme, or no place in its store; what its store needs may be missing in the environment.
    pub fn parse(text: &str) -> io::Result<Self> {
        if text.is_empty() {
            // It would be the folder that the tool happens to be started in.
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path is empty: is a variable of the shell not set?",
            ));
        }
        let Some((scheme, rest)) = scheme(text) else { return Ok(Self::Local(PathBuf::from(text))) };
        match scheme.as_str() {
            "file" if rest.starts_with('/') => Ok(Self::Local(PathBuf::from(rest))),
            "file" => Err(StoreError::url(text, "the path of a `file` URL begins with `/`").into()),
            scheme => Remote::parse(text, scheme, rest).map(Self::Remote),
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

/// The scheme of a URL, in small letters, and what is behind its slashes; `None` of a path.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric());
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// The number of the signal that asked to stop, or 0.
static STOP: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on, nobody waits for a store any longer once this is not 0.
pub fn stop_on(signal: Arc<AtomicUsize>) {
    drop(STOP.set(signal));
}

/// Who prints what a person should know while a store is waited for.
static NOTICES: OnceLock<fn(&str)> = OnceLock::new();

/// From now on, what a person should know of stores goes there.
pub fn tell_with(print: fn(&str)) {
    let _ = NOTICES.set(print); // a second one says the same
}

/// Tells a person of a store.
#[cfg_attr(not(feature = "object-store"), expect(dead_code, reason = "there is no store to tell of"))]
pub(crate) fn tell(notice: &str) {
    if let Some(print) = NOTICES.get() {
        print(notice);
    }
}

/// Whether a signal asked to stop.
#[cfg_attr(not(feature = "object-store"), expect(dead_code, reason = "there is no store to be waited for"))]
pub(crate) fn is_stopped() -> bool {
    STOP.get().is_some_and(|signal| signal.load(Ordering::Relaxed) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_a_url() {
        assert_eq!(Location::parse("a/b").unwrap(), Location::Local("a/b".into()));
        assert_eq!(Location::parse("C:/b://c").unwrap(), Location::Local("C:/b://c".into()));
        assert_eq!(Location::parse("file:///a/b").unwrap(), Location::Local("/a/b".into()));
        assert_eq!(Location::parse("FILE:///a/B").unwrap(), Location::Local("/a/B".into()));
        for bad in [
            "",
            "HDFS://a",
            "file://a/b",
            "hdfs://a/b",
            "s3://",
            "s3:///a",
            "https://host/a?b=c",
            "https://host/",
            "s3://b/a//c",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    #[cfg(feature = "object-store")]
    fn a_url_is_shown_as_it_was_given() {
        let urls = [
            "s3://bucket/a/b c%41.jsonl",
            "gs://bucket/a",
            "https://host:8080/a/b%20c%23%2541%3F%C3%A9.jsonl",
            "s3://bucket",
        ];
        for url in urls {
            assert_eq!(Location::parse(url).unwrap().to_string(), url);
        }
        assert_eq!(Location::parse("S3://Bucket/A").unwrap().to_string(), "s3://Bucket/A");
        assert_eq!(Location::parse("s3://bucket/a/").unwrap().join("data/b").to_string(), "s3://bucket/a/data/b");
    }
}
