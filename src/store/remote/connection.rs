//! The connection to a store: one for all its URLs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, Error, ObjectStore, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use crate::store::answer_limits::Connector;
use crate::store::remote::answers::{may_pass, status};
use crate::store::web::Web;
use crate::store::{is_stopped, tell};

/// The delay between two attempts: at first, and at most.
pub(super) const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// How long a request is retried: longer than the minute that a server may be down, shorter than the lifetime of a
/// signature.
const RETRY_SECONDS: u64 = 300;

/// How long a request may take before a notice, and the time until the next notice.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_mins(1);

/// A bucket, a container or a web server, and the connection to it.
pub(super) struct Store {
    /// The beginning of its URLs, without a slash at the end.
    pub(super) base: String,
    pub(super) client: Arc<dyn ObjectStore>,
    pub(super) runtime: &'static Runtime,
    pub(super) retry: Duration,
    pub(super) is_web: bool,
    /// When the last notice about waiting was printed.
    pub(super) said: Mutex<Option<Instant>>,
    /// Objects with a notice that their versions cannot be told apart.
    pub(super) unmarked: Mutex<BTreeSet<String>>,
}

impl Store {
    /// Whether to send a request again. The library itself retries temporary refusals and connections for as long as it
    /// may; it gives up at once on an answer that breaks off.
    pub(super) fn may_ask_again(&self, error: &Error, begin: Instant) -> bool {
        may_pass(error) && status(error).is_none() && begin.elapsed() < self.retry && !is_stopped()
    }

    /// Prints a notice once a request has taken long, and again from time to time, once for all requests.
    pub(super) fn say_that_it_is_waited_for(&self, begin: Instant) {
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
    pub(super) fn at(scheme: &str, authority: &str) -> io::Result<Arc<Self>> {
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
