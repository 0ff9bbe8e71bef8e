//! Locations: a folder, or an object store. Only this module names `object_store`.
//!
//! A store is used like a folder without subfolders: named objects, written whole, read in pieces. Every call here
//! blocks: the run's own threads read and write.

#[cfg(feature = "object-store")]
mod answer_limits;
mod error;
#[cfg(feature = "object-store")]
mod remote;
#[cfg(not(feature = "object-store"))]
#[path = "disabled.rs"]
mod remote;
#[cfg(feature = "object-store")]
mod web;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
#[cfg(feature = "object-store")]
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

pub(crate) use crate::store::error::{StoreError, is_transient};
pub(crate) use crate::store::remote::{Pieces, Remote};
use crate::system::path_of_url;

/// Schemes of a store's URL, for messages.
#[cfg(feature = "object-store")]
pub(crate) const SCHEMES: &str = "`s3`, `gs`, `az`, `http`, `https` or `file`";

/// A location: a file, a folder, an object, or all objects below a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Local(PathBuf),
    /// In a store.
    Remote(Remote),
}

/// An object of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its name, relative to the location that was listed.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// A tag that changes with its content: the store's entity tag, if it has one.
    pub(crate) tag: Option<String>,
}

/// The result of creating an object, or a file, only if its name is free.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It was created.
    New,
    /// The name was taken, by an object with these bytes.
    Existing(Vec<u8>),
}

impl Location {
    /// A path, or a URL with a known scheme.
    ///
    /// # Errors
    ///
    /// If it is empty; [`StoreError`] if it is a URL with another scheme, or not a location in its store; the
    /// environment may lack what the store needs.
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        if text.is_empty() {
            // It would be the folder that the tool happens to be started in.
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path is empty: is a variable of the shell not set?",
            ));
        }
        let Some((scheme, rest)) = scheme(text) else { return Ok(Self::Local(PathBuf::from(text))) };
        match scheme.as_str() {
            "file" if rest.starts_with('/') => Ok(Self::Local(path_of_url(rest))),
            "file" => Err(StoreError::url(text, "the path of a `file` URL begins with `/`").into()),
            scheme => Remote::parse(text, scheme, rest).map(Self::Remote),
        }
    }

    /// The location with this name below it.
    #[must_use]
    pub(crate) fn join(&self, relative: &str) -> Self {
        match self {
            Self::Local(path) => Self::Local(path.join(relative)),
            Self::Remote(remote) => Self::Remote(remote.join(relative)),
        }
    }

    /// The path, if it is on this machine.
    #[must_use]
    pub(crate) fn local(&self) -> Option<&Path> {
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

/// The scheme of a URL, in lower case, and the rest after its slashes; `None` for a path.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric());
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// The number of the signal that asked to stop, or 0.
static STOP: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Sets the counter that ends all waiting for stores once it is not 0.
pub(crate) fn stop_on(signal: Arc<AtomicUsize>) {
    drop(STOP.set(signal));
}

/// Prints notices while the tool waits for a store.
static NOTICES: OnceLock<fn(&str)> = OnceLock::new();

/// Sets the function that prints notices about stores.
pub(crate) fn tell_with(print: fn(&str)) {
    let _ = NOTICES.set(print); // a second one says the same
}

/// Prints a notice about a store.
#[cfg(feature = "object-store")]
pub(crate) fn tell(notice: &str) {
    if let Some(print) = NOTICES.get() {
        print(notice);
    }
}

/// Whether a signal has asked to stop.
#[cfg(feature = "object-store")]
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
