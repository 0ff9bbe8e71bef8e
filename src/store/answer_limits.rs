//! Bounds a store's answers other than files: listings, errors, replies to uploads, credentials. The library holds such
//! an answer in memory as a whole; files are bounded where they are read.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, GetOptions};

/// Bytes of one part of a listing. Stores send at most 5,000 names of at most 1,024 bytes in one.
const MOST_LISTING: usize = 64 << 20;

/// Bytes of any other answer that is not a file.
const MOST_OTHER: usize = 1 << 20;

/// An answer with more bytes than its kind may have.
#[derive(Debug, thiserror::Error)]
#[error("the store answers with more than {most} bytes where {what} is expected")]
pub(super) struct TooLong {
    most: usize,
    what: &'static str,
}

/// Connects to a store and bounds its answers.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Bounded(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Bounded(HttpClient);

impl HttpService for Bounded {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let asked = Asked::of(&request);
            bounded(asked, self.0.execute(request).await?).await
        })
    }
}

/// Marks a request for a file. The library sends its own requests for credentials through the same connection.
#[derive(Debug, Clone, Copy)]
struct OfFile;

/// The options of a request for a file or a part of one, whose reader bounds the answer.
pub(super) fn of_file(mut options: GetOptions) -> GetOptions {
    options.extensions.insert(OfFile);
    options
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A file or a part of one, or what is known of it.
    File,
    Listing,
    /// An upload, credentials.
    Other,
}

impl Asked {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let mut query = request.uri().query().unwrap_or_default().split('&');
        // S3 and GCS; Azure.
        let is_listing = query.any(|part| matches!(part, "list-type=2" | "comp=list"));
        match request.method().as_str() {
            "GET" if is_listing => Self::Listing,
            // An answer to `HEAD` has no body.
            "HEAD" => Self::File,
            "GET" if request.extensions().get::<OfFile>().is_some() => Self::File,
            _ => Self::Other,
        }
    }
}

/// The answer, unless it is too long.
///
/// # Errors
///
/// [`TooLong`] as soon as it is too long.
pub(super) async fn bounded(asked: Asked, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (most, what) = match (answer.status().is_success(), asked) {
        (true, Asked::File) => return Ok(answer),
        (true, Asked::Listing) => (MOST_LISTING, "a part of a listing"),
        (true, Asked::Other) => (MOST_OTHER, "a short answer"),
        (false, _) => (MOST_OTHER, "an error"),
    };
    let (head, body) = answer.into_parts();
    let mut stream = body.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part?;
        if bytes.len() + part.len() > most {
            return Err(HttpError::new(HttpErrorKind::Unknown, TooLong { most, what }));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(HttpResponse::from_parts(head, HttpResponseBody::from(bytes)))
}
