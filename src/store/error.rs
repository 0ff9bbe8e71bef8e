//! What can go wrong with a store, and whether another attempt may go better.

use std::error::Error;
use std::io::{self, ErrorKind};

/// What a store says, or does not say. Inside an [`io::Error`], whose kind tells the usual cases apart.
#[derive(Debug, thiserror::Error)]
#[error("`{url}`: {what}")]
pub struct StoreError {
    /// The object, or where it would be.
    url: String,
    /// What went wrong, without credentials.
    what: String,
    kind: ErrorKind,
    is_transient: bool,
    hint: Option<&'static str>,
}

impl StoreError {
    /// A URL that cannot be used.
    #[must_use]
    pub fn url(url: &str, what: &str) -> Self {
        let url = without_secrets(url.split(['?', '#']).next().unwrap_or_default());
        Self { url, what: what.to_owned(), kind: ErrorKind::InvalidInput, is_transient: false, hint: None }
    }

    /// An object of more bytes than one of its kind may have.
    #[cfg(feature = "object-store")]
    pub(super) fn too_large(url: &str, most: u64) -> Self {
        let what = format!("it has more than the {most} bytes that such a file may have");
        Self { url: url.to_owned(), what, kind: ErrorKind::FileTooLarge, is_transient: false, hint: None }
    }

    /// What the store said.
    #[cfg(any(test, feature = "object-store"))]
    pub(super) fn new(url: String, what: String, kind: ErrorKind, is_transient: bool) -> Self {
        Self { url, what, kind, is_transient, hint: None }
    }

    /// The same with what to do about it.
    #[cfg(feature = "object-store")]
    pub(super) fn with_hint(self, hint: Option<&'static str>) -> Self {
        Self { hint, ..self }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

/// A text whose URLs have no user and no password.
pub(super) fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(['/', ' ', '?']).unwrap_or(after.len());
        rest = after[..end].rfind('@').map_or(after, |user| &after[user + 1..]);
    }
    shown + rest
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::new(error.kind, error)
    }
}

/// Whether what failed may go well another time: what a store or the system says of itself, but not what it says of the request, and not what was
/// read.
#[must_use]
pub fn is_transient(error: &(dyn Error + 'static)) -> bool {
    let mut link = Some(error);
    let mut transient = false;
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // The standard library gives the error inside as the source of the one outside, but not the one inside itself.
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>());
            transient |= inner.map_or_else(|| of_system(error), |inner| inner.is_transient);
        } else if let Some(error) = error.downcast_ref::<StoreError>() {
            transient |= error.is_transient;
        }
        link = error.source();
    }
    transient
}

/// What is there may be mended: a disk that is full or fails, a network that is away. What is not there, or may not be read, is as it is, and so is
/// what was read.
fn of_system(error: &io::Error) -> bool {
    use ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, NotConnected, OutOfMemory, QuotaExceeded, ResourceBusy, StaleNetworkFileHandle,
        StorageFull, TimedOut, WouldBlock,
    };
    let kind = error.kind();
    let known = matches!(
        kind,
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | OutOfMemory
            | QuotaExceeded
            | ResourceBusy
            | StaleNetworkFileHandle
            | StorageFull
            | TimedOut
            | WouldBlock
    );
    // A disk that fails is of a kind that has no name yet.
    known || format!("{kind:?}") == "Uncategorized"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OutputError;

    #[test]
    fn no_user_and_no_password_is_shown() {
        let text = "GET http://user:secret@host:9/a@b?c in 1 s, then s3://me@bucket";
        assert_eq!(without_secrets(text), "GET http://host:9/a@b?c in 1 s, then s3://bucket");
        assert_eq!(StoreError::url("https://me:x@host/a?sig=y", "no").to_string(), "`https://host/a`: no");
    }

    #[test]
    fn what_may_go_better_is_found_wherever_it_stands() {
        let of_system = |number| io::Error::from_raw_os_error(number);
        let transient = |error: io::Error| is_transient(&OutputError::from(error));
        // EIO, ENOSPC, ESTALE; ENOENT, EACCES, EISDIR.
        assert!([5, 28, 116].map(of_system).into_iter().all(transient));
        assert!(![2, 13, 21].map(of_system).into_iter().any(transient));
        let wrapped = io::Error::new(ErrorKind::StorageFull, "in `a`: no space left");
        assert!(is_transient(&OutputError::from(parquet::errors::ParquetError::from(wrapped))));
        assert!(!transient(io::Error::other("a corrupt stream")));
        for is_away in [true, false] {
            let error = StoreError::new("s3://a/b".to_owned(), "503".to_owned(), ErrorKind::Other, is_away);
            assert_eq!(transient(error.into()), is_away);
        }
    }
}
