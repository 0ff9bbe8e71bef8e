//! Objects of `s3://`, `gs://`, `az://` and `http(s)://`. Requests are asked again in `ask`, and by the library (`connection`).

mod answers;
mod connection;
mod pieces;
mod upload;

use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{Error, GetOptions, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use tokio::task::JoinHandle;

use crate::store::answer_limits::of_file;
use crate::store::remote::answers::{may_pass, said, status};
use crate::store::remote::connection::{Store, WAIT};
pub(crate) use crate::store::remote::pieces::Pieces;
use crate::store::web::hint;
use crate::store::{Created, Object, SCHEMES, StoreError, is_stopped, tell};

/// Bytes of an object that are requested or uploaded at a time. Stores take parts of at least 5 MiB.
const PIECE: u64 = 8 << 20;

/// Pieces requested at once.
const AHEAD: usize = 4;

/// How often the tool checks for a signal.
const LISTEN: Duration = Duration::from_millis(100);

/// Most objects of a listing: a longer one does not end.
const MOST_OBJECTS: usize = 5_000_000;

/// A name in a store.
#[derive(Clone)]
pub struct Remote {
    store: Arc<Store>,
    key: Key,
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

fn object(found: &ObjectMeta, name: String) -> Object {
    Object { name, bytes: found.size, tag: found.e_tag.as_deref().and_then(strong_tag) }
}

/// An entity tag without its quotes, which some stores leave out in lists. A weak tag does not identify bytes.
fn strong_tag(tag: &str) -> Option<String> {
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    (!tag.starts_with("W/") && !tag.is_empty()).then(|| tag.to_owned())
}
