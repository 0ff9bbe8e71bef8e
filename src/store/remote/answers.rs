//! What the answers and errors of a store say.

use std::io;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::store::error::without_secrets;
use crate::store::web::is_final;

/// Whether another attempt may succeed. A store would repeat its verdict on a request.
pub(super) fn may_pass(error: &Error) -> bool {
    match error {
        // A store that gets many requests for one name at once answers this too.
        Error::AlreadyExists { .. } | Error::JoinError { .. } => true,
        Error::Generic { .. } => match (status(error), of_http(error)) {
            (Some(status), _) => !(300..500).contains(&status) || [408, 409, 429].contains(&status),
            (None, Some(http)) => !is_final(error) && is_of_the_connection(http),
            // A store may report an internal fault with status 200; a signal ends retries.
            (None, None) => {
                let text = error.to_string();
                text.contains("error response") || text.ends_with("stopped")
            }
        },
        _ => false,
    }
}

/// The error of the connection to the store, if there is one.
fn of_http(error: &Error) -> Option<&HttpError> {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(http) = error.downcast_ref() {
            return Some(http);
        }
        link = error.source();
    }
    None
}

/// Whether the connection failed, rather than the answer being invalid.
fn is_of_the_connection(error: &HttpError) -> bool {
    use HttpErrorKind::{Connect, Interrupted, Request, Timeout};
    if matches!(error.kind(), Connect | Interrupted | Request | Timeout) {
        return true;
    }
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        let text = error.to_string();
        if error.is::<io::Error>() || text.contains("end of file before message") || text.contains("connection closed")
        {
            return true;
        }
        link = error.source();
    }
    false
}

/// The status of the store's answer, if that is the error. The library's own type for it is not public.
pub(super) fn status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    text.split_once("status code: ")?.1.get(..3)?.parse().ok()
}

/// The error on one line, without the answer's body: stores repeat in it who asked, and how it was signed.
pub(super) fn said(error: &Error) -> String {
    let text = without_secrets(&error.to_string());
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.chars().all(char::is_alphanumeric)).map(|code| format!(" ({code})"));
    if let Some(status) = status(error) {
        return format!("the store answers {status}{}", code.unwrap_or_default());
    }
    let words = single_spaced(text.split('<').next().unwrap_or_default());
    let (before, rest) = words.split_once(", max_retries: ").unwrap_or((&words, ""));
    let after = rest.split_once(" - ").map(|(_, after)| format!(": {after}")).unwrap_or_default();
    let cause = cause(error).filter(|cause| !words.contains(cause.as_str())).map(|cause| format!(": {cause}"));
    format!("{before}{after}{}{}", code.unwrap_or_default(), cause.unwrap_or_default())
}

/// The root cause of an error: connection refused, no such host.
fn cause(error: &Error) -> Option<String> {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut cause = None;
    while let Some(error) = link {
        let is_said = error.is::<io::Error>() || is_final(error) && error.source().is_none();
        cause = is_said.then(|| error.to_string()).or(cause);
        link = error.source();
    }
    cause.map(|cause| single_spaced(&without_secrets(&cause)))
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("error sending request")]
    struct Sending(#[source] io::Error);

    #[test]
    fn an_end_point_where_nobody_listens_is_said_to_be_one() {
        let source = Box::new(Sending(ErrorKind::ConnectionRefused.into()));
        let error = Error::Generic { store: "S3", source };
        assert_eq!(said(&error), "Generic S3 error: error sending request: connection refused");
        let source = Box::new(Sending(io::Error::other("no answer\nfrom http://me:secret@host/")));
        let error = Error::Generic { store: "S3", source };
        assert_eq!(said(&error), "Generic S3 error: error sending request: no answer from http://host/");
    }
}
