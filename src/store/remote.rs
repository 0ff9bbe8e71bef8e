//! Objects of `s3://`, `gs://`, `az://` and `http(s)://`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fs_err as fs;
use futures_util::future::{Either, select};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMode, PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::store::answer_limits::{Connector, of_file};
use crate::store::error::without_secrets;
use crate::store::web::{Web, hint, is_final};
use crate::store::{Created, Object, SCHEMES, StoreError, is_stopped, tell};

/// Bytes of an object that are requested or uploaded at a time. Stores take parts of at least 5 MiB.
const PIECE: u64 = 8 << 20;

/// Pieces requested at once.
const AHEAD: usize = 4;

/// How long a request is retried: longer than the minute that a server may be down, shorter than the lifetime of a
/// signature.
const RETRY_SECONDS: u64 = 300;

/// The delay between two attempts: at first, and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// How often the tool checks for a signal.
const LISTEN: Duration = Duration::from_millis(100);

/// How long a request may take before a notice, and the time until the next notice.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_mins(1);

/// Most objects of a listing: a longer one does not end.
const MOST_OBJECTS: usize = 5_000_000;

/// Most parts of an upload; S3 takes 10,000.
const MOST_PARTS: u64 = 9_000;

/// How often an upload is restarted if the store has lost it.
const UPLOADS: u32 = 10;

/// A name in a store.
#[derive(Clone)]
pub struct Remote {
    store: Arc<Store>,
    key: Key,
}

/// A bucket, a container or a web server, and the connection to it.
struct Store {
    /// The beginning of its URLs, without a slash at the end.
    base: String,
    client: Arc<dyn ObjectStore>,
    runtime: &'static Runtime,
    retry: Duration,
    is_web: bool,
    /// When the last notice about waiting was printed.
    said: Mutex<Option<Instant>>,
    /// Objects with a notice that their versions cannot be told apart.
    unmarked: Mutex<BTreeSet<String>>,
}

impl Remote {
    pub(super) fn parse(url: &str, scheme: &str, rest: &str) -> io::Result<Self> {
        let bad = |what: &str| Err(StoreError::url(url, what).into());
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() {
            return bad("it names no bucket, container or host");
        }
        if authority.contains('@') {
            return bad("credentials come from the environment, not from a URL");
        }
        let is_web = matches!(scheme, "http" | "https");
        let path = path.strip_suffix('/').unwrap_or(path);
        let key = if is_web { Key::from_url_path(path) } else { Key::parse(path) };
        let Ok(key) = key else { return bad("it has an empty part, or one that is `.` or `..`") };
        if is_web && (url.contains(['?', '#']) || path.is_empty()) {
            return bad("a file on the web has a path and no query");
        }
        if !matches!(scheme, "s3" | "gs" | "az") && !is_web {
            return bad(&format!("the scheme is none of {SCHEMES}"));
        }
        let store = Store::at(scheme, authority).map_err(|error| StoreError::url(url, &error.to_string()))?;
        Ok(Self { store, key })
    }

    /// The location with this name below it.
    #[must_use]
    pub(crate) fn join(&self, relative: &str) -> Self {
        let parts = relative.split('/').filter(|part| !part.is_empty());
        let key = parts.fold(self.key.clone(), |key, part| {
            // A listed name stands for itself; `Key::join` would escape unusual characters.
            let joined = if key.as_ref().is_empty() { part.to_owned() } else { format!("{key}/{part}") };
            Key::parse(joined).unwrap_or_else(|_| key.join(part))
        });
        Self { store: Arc::clone(&self.store), key }
    }

    /// The last part of its name.
    pub(crate) fn file_name(&self) -> &str {
        self.key.filename().unwrap_or_default()
    }

    /// Whether it is a file of a web server, which has no listings.
    pub(crate) fn is_of_the_web(&self) -> bool {
        self.store.is_web
    }

    /// The longest folder above it without a wildcard.
    pub(crate) fn before(&self, is_glob: impl Fn(&str) -> bool) -> Self {
        let root: Vec<&str> = self.key.as_ref().split('/').take_while(|part| !is_glob(part)).collect();
        Self { store: Arc::clone(&self.store), key: Key::default() }.join(&root.join("/"))
    }

    /// Its parent.
    pub(crate) fn parent(&self) -> Self {
        let above = self.key.as_ref().rsplit_once('/').map_or("", |(above, _)| above);
        Self { store: Arc::clone(&self.store), key: Key::default() }.join(above)
    }

    /// Its name in the store.
    pub(crate) fn key(&self) -> &str {
        self.key.as_ref()
    }

    /// The object of this name; `None` if there is none.
    pub(crate) fn head(&self) -> io::Result<Option<Object>> {
        if self.key.as_ref().is_empty() {
            return Ok(None);
        }
        match self.ask(|| self.store.client.head(&self.key)) {
            Ok(found) => Ok(Some(object(&found, self.file_name().to_owned()))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// All objects below it, in the order of names.
    pub(crate) fn list(&self) -> io::Result<Vec<Object>> {
        let listed = || self.store.client.list(Some(&self.key)).take(MOST_OBJECTS + 1).try_collect();
        let found: Vec<ObjectMeta> = self.ask(listed).map_err(|error| self.error(&error))?;
        if found.len() > MOST_OBJECTS {
            let source = format!("its listing has more than {MOST_OBJECTS} objects");
            return Err(self.error(&Error::Generic { store: "store", source: source.into() }));
        }
        let mut objects = Vec::with_capacity(found.len());
        for found in found {
            let below = found.location.as_ref().strip_prefix(self.key.as_ref()).unwrap_or_default();
            objects.push(object(&found, below.trim_start_matches('/').to_owned()));
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// Whether there is an object below it.
    pub(crate) fn has_any(&self) -> io::Result<bool> {
        let first = || async { self.store.client.list(Some(&self.key)).next().await.transpose() };
        self.ask(first).map(|found| found.is_some()).map_err(|error| self.error(&error))
    }

    /// The bytes of the object, at most `most`; `None` if there is none.
    pub(crate) fn read(&self, most: u64) -> io::Result<Option<Vec<u8>>> {
        let get = || self.store.client.get_opts(&self.key, of_file(GetOptions::default()));
        match self.ask(|| async { up_to(get().await?, most).await }) {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => Err(StoreError::too_large(&self.to_string(), most).into()),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// A reader of the object in the version that was found.
    pub(crate) fn open(&self, object: &Object) -> Pieces {
        Pieces {
            remote: self.clone(),
            bytes: object.bytes,
            tag: object.tag.clone(),
            asked: 0,
            coming: VecDeque::new(),
            seal: None,
            piece: Bytes::new(),
            piece_start: 0,
            place: 0,
        }
    }

    /// Prints the notice once for each object.
    fn say_that_versions_may_mix(&self) {
        let mut unmarked = self.store.unmarked.lock().unwrap_or_else(PoisonError::into_inner);
        if unmarked.insert(self.key.to_string()) {
            tell(&format!(
                "warning: `{self}` has neither a tag nor a time of change: a replacement while it is read cannot be noticed"
            ));
        }
    }

    /// Writes an object, replacing any object of its name.
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let payload = PutPayload::from(bytes.to_vec());
        self.ask(|| self.store.client.put(&self.key, payload.clone())).map(drop).map_err(|error| self.error(&error))
    }

    /// Creates an object unless its name is taken.
    ///
    /// After any failure, the state of the store counts: a lost reply comes back as "there is one already", which may
    /// be this very object, and a store that gets many requests for the same name at once may refuse all of them for a
    /// moment. At most `most` bytes of the object are read back.
    pub(crate) fn create(&self, bytes: &[u8], most: u64) -> io::Result<Created> {
        let begin = Instant::now();
        let mut wait = WAIT.0;
        loop {
            let payload = PutPayload::from(bytes.to_vec());
            let put = self.store.client.put_opts(&self.key, payload, PutMode::Create.into());
            let Err(error) = self.wait(put) else { return Ok(Created::New) };
            if is_stopped() {
                return Err(self.error(&error));
            }
            match self.read(most) {
                Ok(Some(existing)) => return Ok(Created::Existing(existing)),
                Ok(None) | Err(_) if !may_pass(&error) => return Err(self.error(&error)),
                Ok(None) | Err(_) if begin.elapsed() > self.store.retry => return Err(self.error(&error)),
                Ok(None) | Err(_) => {}
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(WAIT.1);
        }
    }

    /// Uploads the bytes of a file. Many bytes go in parts, replacing any object of this name; few bytes, if `new`,
    /// only if there is none. Returns whether it was uploaded.
    pub(crate) fn put_file(&self, file: &fs::File, bytes: u64, new: bool) -> io::Result<bool> {
        if bytes <= PIECE {
            let whole = bytes_from(file, 0, bytes)?;
            if new {
                return Ok(self.create(&whole, bytes)? == Created::New);
            }
            return self.put(&whole).map(|()| true);
        }
        let mut tries = 1;
        loop {
            match self.put_parts(file, bytes) {
                // Another process has discarded the parts (Azure discards all others when one upload of a name ends);
                // or the object is complete, and its upload is closed, because a reply was lost. An existing object
                // proves nothing: it may be an older one.
                Err(Upload::Lost(_)) if tries < UPLOADS && !is_stopped() => {
                    // Processes that collided do not all come back at once.
                    std::thread::sleep(WAIT.0 * tries + LISTEN * (std::process::id() % 16));
                    tries += 1;
                }
                Err(Upload::Lost(error) | Upload::Failed(error)) => return Err(error),
                Ok(()) => return Ok(true),
            }
        }
    }

    fn put_parts(&self, file: &fs::File, bytes: u64) -> Result<(), Upload> {
        let failed = |error: Error| Upload::Failed(self.error(&error));
        let mut upload = self.ask(|| self.store.client.put_multipart(&self.key)).map_err(failed)?;
        let mut parts: VecDeque<JoinHandle<Result<(), Error>>> = VecDeque::new();
        let size = PIECE.max(bytes.div_ceil(MOST_PARTS));
        let mut send = || -> Result<(), Upload> {
            let mut sent = 0;
            while sent < bytes {
                let part = bytes_from(file, sent, size.min(bytes - sent))?;
                sent += part.len() as u64;
                parts.push_back(self.store.runtime.spawn(upload.put_part(PutPayload::from(part))));
                if parts.len() == AHEAD {
                    self.sent(parts.pop_front())?;
                }
            }
            while let Some(part) = parts.pop_front() {
                self.sent(Some(part))?;
            }
            Ok(())
        };
        let done = send().and_then(|()| {
            let begin = Instant::now();
            self.wait(upload.complete()).map(drop).map_err(|error| self.of_upload(&error, begin))
        });
        if done.is_err() {
            for part in parts {
                part.abort();
            }
            // A failure to abort is not the error to report.
            drop(self.wait(upload.abort()));
        }
        done
    }

    fn sent(&self, part: Option<JoinHandle<Result<(), Error>>>) -> Result<(), Upload> {
        let Some(part) = part else { return Ok(()) };
        let begin = Instant::now();
        self.wait(joined(part)).map_err(|error| self.of_upload(&error, begin))
    }

    /// What an error means for an upload; the failed request began at `begin`.
    fn of_upload(&self, error: &Error, begin: Instant) -> Upload {
        let is_gone =
            matches!(error, Error::NotFound { .. }) || error.to_string().contains("<Code>NoSuchUpload</Code>");
        // An invalid answer does not tell what happened to an upload either.
        let makes_no_sense = matches!(error, Error::Generic { .. }) && status(error).is_none();
        let is_unknown = (may_pass(error) || makes_no_sense)
            && status(error).is_none()
            && begin.elapsed() < self.store.retry
            && !is_stopped();
        if is_gone || is_unknown { Upload::Lost(self.error(error)) } else { Upload::Failed(self.error(error)) }
    }

    /// Removes the object, if it exists.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self.ask(|| self.store.client.delete(&self.key)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Sends a repeatable request until the store answers or the time is over.
    fn ask<T, F: Future<Output = Result<T, Error>>>(&self, request: impl Fn() -> F) -> Result<T, Error> {
        let begin = Instant::now();
        let mut wait = WAIT.0;
        loop {
            match self.wait(request()) {
                Err(error) if self.store.may_ask_again(&error, begin) => {}
                answer => return answer,
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(WAIT.1);
        }
    }

    /// Waits for the store on the calling thread; stops waiting if a signal asks to stop.
    fn wait<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let begin = Instant::now();
        let stopped = async {
            while !is_stopped() {
                tokio::time::sleep(LISTEN).await;
                self.store.say_that_it_is_waited_for(begin);
            }
        };
        self.store.runtime.block_on(async {
            match select(pin!(request), pin!(stopped)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(Error::Generic { store: "store", source: "stopped".into() }),
            }
        })
    }

    fn error(&self, error: &Error) -> io::Error {
        let (kind, what) = match (error, status(error)) {
            (Error::NotFound { .. }, _) | (_, Some(404)) => {
                (ErrorKind::NotFound, "there is no such object or bucket".to_owned())
            }
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) | (_, Some(401 | 403)) => {
                (ErrorKind::PermissionDenied, "the store does not allow it".to_owned())
            }
            (Error::NotSupported { .. }, _) => {
                (ErrorKind::Unsupported, "the server sends no parts of files (ranges), which are asked for".to_owned())
            }
            (Error::Precondition { .. }, _) => {
                (ErrorKind::InvalidData, "it is another object now than it was".to_owned())
            }
            (error, _) => (ErrorKind::Other, said(error)),
        };
        StoreError::new(self.to_string(), what, kind, may_pass(error)).with_hint(hint(error)).into()
    }
}

/// Why an upload in parts did not end.
enum Upload {
    /// The store does not know it any more, or its fate is unknown.
    Lost(io::Error),
    /// Another reason.
    Failed(io::Error),
}

impl From<io::Error> for Upload {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// `count` bytes of a file from `place` on.
fn bytes_from(file: &fs::File, place: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut file = file.file();
    file.seek(SeekFrom::Start(place))?;
    let mut bytes = Vec::new();
    file.take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

impl fmt::Display for Remote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = &self.store.base;
        match self.key.as_ref() {
            "" => formatter.write_str(base),
            key if self.store.is_web => write!(formatter, "{base}/{}", escaped(key)),
            key => write!(formatter, "{base}/{key}"),
        }
    }
}

/// A path escaped for a web URL.
fn escaped(path: &str) -> String {
    path.bytes().fold(String::new(), |mut escaped, byte| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte);
        let _ = if is_plain { write!(escaped, "{}", char::from(byte)) } else { write!(escaped, "%{byte:02X}") };
        escaped
    })
}

impl fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Remote({self})")
    }
}

impl PartialEq for Remote {
    fn eq(&self, other: &Self) -> bool {
        self.store.base == other.store.base && self.key == other.key
    }
}

impl Eq for Remote {}

/// The bytes of an answer; `None` if there are more than `most`, after which it stops reading.
async fn up_to(answer: GetResult, most: u64) -> Result<Option<Vec<u8>>, Error> {
    let mut stream = answer.into_stream();
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part?;
        if (bytes.len() + part.len()) as u64 > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Some(bytes))
}

/// The answer to a request that another thread sent.
async fn joined<T>(request: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    request.await.map_err(|source| Error::JoinError { source })?
}

impl Store {
    /// Whether to send a request again. The library itself retries temporary refusals and connections for as long as it
    /// may; it gives up at once on an answer that breaks off.
    fn may_ask_again(&self, error: &Error, begin: Instant) -> bool {
        may_pass(error) && status(error).is_none() && begin.elapsed() < self.retry && !is_stopped()
    }

    /// Prints a notice once a request has taken long, and again from time to time, once for all requests.
    fn say_that_it_is_waited_for(&self, begin: Instant) {
        let waited = begin.elapsed();
        if waited < PATIENCE {
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= AGAIN) {
            *said = Some(Instant::now());
            let (waited, most) = (waited.as_secs(), self.retry.as_secs());
            tell(&format!("waiting for `{}` for {waited} s; a request is tried again for up to {most} s", self.base));
        }
    }

    /// The store of a URL's beginning: one for all its URLs, so that they share connections.
    fn at(scheme: &str, authority: &str) -> io::Result<Arc<Self>> {
        static STORES: Mutex<BTreeMap<String, Arc<Store>>> = Mutex::new(BTreeMap::new());
        let base = format!("{scheme}://{authority}");
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&base) {
            return Ok(Arc::clone(store));
        }
        let runtime = runtime()?;
        let retry = Duration::from_secs(retry_seconds());
        // The time limit ends the retries.
        let backoff = BackoffConfig { init_backoff: WAIT.0, max_backoff: WAIT.1, base: 2.0 };
        let retries = RetryConfig { backoff, max_retries: 1_000_000, retry_timeout: retry };
        let client: Arc<dyn ObjectStore> = match scheme {
            "s3" => Arc::new(
                AmazonS3Builder::from_env()
                    .with_http_connector(Connector)
                    .with_bucket_name(authority)
                    .with_retry(retries)
                    .build()?,
            ),
            "gs" => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_http_connector(Connector)
                    .with_bucket_name(authority)
                    .with_retry(retries)
                    .build()?,
            ),
            "az" => Arc::new(
                MicrosoftAzureBuilder::from_env()
                    .with_http_connector(Connector)
                    .with_container_name(authority)
                    .with_retry(retries)
                    .build()?,
            ),
            _ => {
                let options = ClientOptions::new().with_allow_http(scheme == "http");
                let web = Web::new(authority, scheme == "https", are_redirects_allowed(), proxies());
                let builder = HttpBuilder::new().with_url(&base).with_client_options(options).with_retry(retries);
                Arc::new(builder.with_http_connector(web).build()?)
            }
        };
        let store = Arc::new(Self {
            base: base.clone(),
            client,
            runtime,
            retry,
            is_web: matches!(scheme, "http" | "https"),
            said: Mutex::default(),
            unmarked: Mutex::default(),
        });
        stores.insert(base, Arc::clone(&store));
        Ok(store)
    }
}

/// The threads that talk to all stores. They live as long as the process.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // If two threads come at once, the second runtime is dropped; and so is a second choice of the TLS library.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("store").enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Shorter in tests, whose servers may never come back.
#[expect(clippy::disallowed_methods, reason = "the usual variables of stores are read beside it")]
fn retry_seconds() -> u64 {
    std::env::var("UL2_PREP_RETRY_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(RETRY_SECONDS)
}

/// Whether a web server may redirect into a private network.
fn are_redirects_allowed() -> bool {
    std::env::var_os("UL2_PREP_PRIVATE_REDIRECTS").is_some_and(|value| value == "1")
}

/// The hosts of the proxies in the environment.
#[expect(clippy::disallowed_methods, reason = "the usual variables of stores are read beside it")]
fn proxies() -> Vec<String> {
    let names = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let host = |url: String| {
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let rest = rest.split('/').next().unwrap_or_default();
        let rest = rest.rsplit('@').next().unwrap_or_default();
        rest.split(':').next().unwrap_or_default().to_ascii_lowercase()
    };
    names.into_iter().filter_map(|name| std::env::var(name).ok()).map(host).collect()
}

fn object(found: &ObjectMeta, name: String) -> Object {
    Object { name, bytes: found.size, tag: found.e_tag.as_deref().and_then(strong_tag) }
}

/// An entity tag without its quotes, which some stores leave out in lists. A weak tag does not identify bytes.
fn strong_tag(tag: &str) -> Option<String> {
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    (!tag.starts_with("W/") && !tag.is_empty()).then(|| tag.to_owned())
}

/// Whether another attempt may succeed. A store would repeat its verdict on a request.
fn may_pass(error: &Error) -> bool {
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
fn status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    text.split_once("status code: ")?.1.get(..3)?.parse().ok()
}

/// The error on one line, without the answer's body: stores repeat in it who asked, and how it was signed.
fn said(error: &Error) -> String {
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

/// An object being read: the next pieces are requested while one is used.
#[derive(Debug)]
pub struct Pieces {
    remote: Remote,
    bytes: u64,
    tag: Option<String>,
    /// Where the next requested piece begins.
    asked: u64,
    coming: VecDeque<JoinHandle<Result<(Bytes, Seal), Error>>>,
    /// The seal of the first piece: all others must have the same.
    seal: Option<Seal>,
    /// The current piece, and where it begins.
    piece: Bytes,
    piece_start: u64,
    /// The reader's position.
    place: u64,
}

/// Identifies the object that an answer's piece belongs to: size, tag of any kind, time of the last change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seal(u64, Option<String>, i64);

impl Pieces {
    /// Requests the next pieces, and waits for the first of them.
    fn next_piece(&mut self) -> io::Result<()> {
        self.piece_start += self.piece.len() as u64;
        while self.coming.len() < AHEAD && self.asked < self.bytes {
            let range = self.asked..self.bytes.min(self.asked + PIECE);
            self.asked = range.end;
            let (remote, tag) = (self.remote.clone(), self.tag.clone());
            self.coming.push_back(self.remote.store.runtime.spawn(async move { remote.piece(range, tag).await }));
        }
        let next = self.coming.pop_front().ok_or(ErrorKind::UnexpectedEof)?;
        let (piece, seal) = self.remote.wait(joined(next)).map_err(|error| self.remote.error(&error))?;
        if seal.0 != self.bytes || self.seal.as_ref().is_some_and(|first| *first != seal) {
            let path = self.remote.key.to_string();
            return Err(self.remote.error(&Error::Precondition { path, source: "another piece".into() }));
        }
        if self.remote.store.is_web && seal.1.is_none() && seal.2 == 0 {
            self.remote.say_that_versions_may_mix();
        }
        (self.piece, self.seal) = (piece, Some(seal));
        Ok(())
    }
}

impl Remote {
    /// A range of the object, if it has not changed.
    async fn piece(&self, range: Range<u64>, tag: Option<String>) -> Result<(Bytes, Seal), Error> {
        let (begin, mut wait) = (Instant::now(), WAIT.0);
        loop {
            let options = of_file(GetOptions {
                if_match: tag.as_ref().map(|tag| format!("\"{tag}\"")),
                range: Some(GetRange::Bounded(range.clone())),
                ..GetOptions::default()
            });
            let got = async {
                let answer = self.store.client.get_opts(&self.key, options).await?;
                let seal =
                    Seal(answer.meta.size, answer.meta.e_tag.clone(), answer.meta.last_modified.timestamp_millis());
                let asked = range.end - range.start;
                let source = match up_to(answer, asked).await? {
                    Some(bytes) if bytes.len() as u64 == asked => return Ok((bytes.into(), seal)),
                    Some(bytes) => format!("the server sends {} bytes of the {asked} that were asked for", bytes.len()),
                    None => format!("the server sends more than the {asked} bytes that were asked for"),
                };
                Err(Error::Generic { store: "store", source: source.into() })
            };
            match got.await {
                Err(error) if self.store.may_ask_again(&error, begin) => {}
                answer => return answer,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT.1);
        }
    }
}

impl Read for Pieces {
    /// Fills the buffer, up to the end of the object: like a file, so that read-ahead is the same.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && self.place < self.bytes {
            let offset = usize::try_from(self.place - self.piece_start).unwrap_or(usize::MAX);
            let rest = self.piece.get(offset..).unwrap_or_default();
            if rest.is_empty() {
                self.next_piece()?;
                continue;
            }
            let taken = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&rest[..taken]);
            filled += taken;
            self.place += taken as u64;
        }
        Ok(filled)
    }
}

impl Seek for Pieces {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.bytes.checked_add_signed(by),
        };
        let place = place.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a place before the beginning"))?;
        if !(self.piece_start..=self.piece_start + self.piece.len() as u64).contains(&place) {
            for piece in self.coming.drain(..) {
                piece.abort();
            }
            (self.piece, self.piece_start, self.asked) = (Bytes::new(), place, place);
        }
        self.place = place;
        Ok(place)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        for piece in self.coming.drain(..) {
            piece.abort();
        }
    }
}

#[cfg(test)]
mod tests {
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
