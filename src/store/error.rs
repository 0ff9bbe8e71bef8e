//! Errors of a store, and whether another attempt may succeed.

use std::error::Error;
use std::io::{self, ErrorKind};

use crate::guidance::Guidance;

/// A store's error, or the lack of an answer. Inside an [`io::Error`], whose kind tells the usual cases apart.
#[derive(Debug, thiserror::Error)]
#[error("`{url}`: {what}")]
pub(crate) struct StoreError {
    /// The URL of the object.
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
    pub(crate) fn url(url: &str, what: &str) -> Self {
        let url = without_secrets(url.split(['?', '#']).next().unwrap_or_default());
        Self { url, what: what.to_owned(), kind: ErrorKind::InvalidInput, is_transient: false, hint: None }
    }

    /// An object with more bytes than its kind may have.
    #[cfg(feature = "object-store")]
    pub(super) fn too_large(url: &str, most: u64) -> Self {
        let what = format!("it has more than the {most} bytes that such a file may have");
        Self { url: url.to_owned(), what, kind: ErrorKind::FileTooLarge, is_transient: false, hint: None }
    }

    /// A store's error.
    #[cfg(any(test, feature = "object-store"))]
    pub(super) fn new(url: String, what: String, kind: ErrorKind, is_transient: bool) -> Self {
        Self { url, what, kind, is_transient, hint: None }
    }

    /// The same error with a hint.
    #[cfg(feature = "object-store")]
    pub(super) fn with_hint(self, hint: Option<&'static str>) -> Self {
        Self { hint, ..self }
    }
}

/// The text without the user names and passwords of its URLs.
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

impl Guidance for StoreError {
    fn hint(&self) -> Option<String> {
        self.hint.map(str::to_owned)
    }
}

impl Guidance for io::Error {
    fn hint(&self) -> Option<String> {
        let of_store = self.get_ref().and_then(|error| error.downcast_ref::<StoreError>());
        if let Some(hint) = of_store.and_then(StoreError::hint) {
            return Some(hint);
        }
        match self.kind() {
            ErrorKind::PermissionDenied | ErrorKind::NotFound if of_store.is_some() => {
                Some("credentials and end points come from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`)".into())
            }
            _ if of_store.is_some() && is_transient(self) => Some(
                "run the same command again when the store is back: it resumes after the last finished shard".into(),
            ),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Some("make room and run the same command again: it resumes after the last finished shard".into())
            }
            _ => None,
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::new(error.kind, error)
    }
}

/// Whether a later attempt may succeed: true for the store's or the system's own faults, false for faults of the
/// request or of the data.
#[must_use]
pub(crate) fn is_transient(error: &(dyn Error + 'static)) -> bool {
    let mut link = Some(error);
    let mut transient = false;
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // The standard library returns the inner error's source as the outer error's, and not the inner error
            // itself.
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>());
            transient |= inner.map_or_else(|| of_system(error), |inner| inner.is_transient);
        } else if let Some(error) = error.downcast_ref::<StoreError>() {
            transient |= error.is_transient;
        }
        link = error.source();
    }
    transient
}

/// Whether the fault may go away: a full or failing disk, a network that is down. A missing or forbidden file stays as
/// it is, and so does the data.
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
    // A failing disk has a kind without a stable name.
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
