//! How to talk to a web server: where it may redirect to, and which failures are final.
//!
//! A source's server may answer with a redirect. Through a redirect into a private network, the server's owner could
//! ask for what only this machine may see, so the tool follows it only if the source is in such a network itself, or if
//! the user allows it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};

use crate::store::answer_limits::{Asked, TooLong, bounded};

/// Most redirects in a row.
const MOST_REDIRECTS: usize = 10;

/// How long to wait for a connection, and for a whole answer.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// A redirect that is not followed.
#[derive(Debug, thiserror::Error)]
#[error("it sends us on to `{0}`, which is in a private network")]
pub(super) struct Refused(String);

/// Where a server may redirect to.
#[derive(Debug, Clone)]
pub(super) struct Web {
    /// The host of the source, as given: it is always allowed.
    host: String,
    is_https: bool,
    is_allowed: bool,
    /// Whether it is in a private network itself.
    is_private: Arc<AtomicBool>,
    /// Hosts of proxies, which may be anywhere.
    proxies: Arc<Vec<String>>,
}

impl Web {
    /// The rules for a source at this host and port. `is_allowed` allows all redirects.
    pub(super) fn new(authority: &str, is_https: bool, is_allowed: bool, proxies: Vec<String>) -> Self {
        let host = host_of(authority);
        let is_private = literal(&host).is_some_and(|address| kind(address) != AddressKind::Public);
        let is_private = Arc::new(AtomicBool::new(is_private));
        Self { host, is_https, is_allowed, is_private, proxies: Arc::new(proxies) }
    }

    /// Whether the tool follows a redirect to this address. It never follows one to this machine's own link, where
    /// clouds keep credentials.
    fn follows(&self, address: IpAddr) -> bool {
        match kind(address) {
            _ if self.is_allowed => true,
            AddressKind::Public => true,
            AddressKind::Private => self.is_private.load(Ordering::Relaxed),
            AddressKind::Link => false,
        }
    }

    fn redirect(&self, attempt: Attempt<'_>) -> reqwest::redirect::Action {
        if attempt.previous().len() > MOST_REDIRECTS {
            return attempt.error("too many redirects");
        }
        let host = host_of(attempt.url().host_str().unwrap_or_default());
        match literal(&host) {
            Some(address) if host != self.host && !self.follows(address) => attempt.error(Refused(host)),
            _ => attempt.follow(),
        }
    }

    /// The allowed addresses of a name.
    fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found: Vec<SocketAddr> = (host, 0).to_socket_addrs()?.collect();
        if host == self.host {
            if found.iter().any(|found| kind(found.ip()) != AddressKind::Public) {
                self.is_private.store(true, Ordering::Relaxed);
            }
            return Ok(found);
        }
        let is_proxy = self.proxies.iter().any(|proxy| proxy == host);
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|found| is_proxy || self.follows(found.ip())).collect();
        if allowed.is_empty() { Err(Refused(host.to_owned()).into()) } else { Ok(allowed) }
    }
}

/// The host of `host:port`, in lower case, without the brackets of IPv6.
fn host_of(authority: &str) -> String {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.to_ascii_lowercase()
}

fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressKind {
    Public,
    /// This machine, RFC 1918 and 6598, unique local.
    Private,
    /// The link, where clouds have their metadata; and addresses that are not a host's.
    Link,
}

fn kind(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V6(address) => match (address.to_ipv4_mapped(), address.segments()) {
            (Some(address), _) => kind(address.into()),
            (None, [0xFE80..=0xFEBF, ..]) => AddressKind::Link,
            (None, [0xFC00..=0xFDFF, ..] | [0, 0, 0, 0, 0, 0, 0, 0 | 1]) => AddressKind::Private,
            (None, _) if address.is_multicast() => AddressKind::Link,
            // IPv4 inside: `64:ff9b::/96`, and the oldest form.
            (None, [0x64, 0xFF9B, 0, 0, 0, 0, a, b] | [0, 0, 0, 0, 0, 0, a, b]) => {
                let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
                kind(IpAddr::from([a, b, c, d]))
            }
            (None, _) => AddressKind::Public,
        },
        IpAddr::V4(address) => match address.octets() {
            [169, 254, ..] | [224..=255, ..] => AddressKind::Link,
            [0 | 10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressKind::Private,
            _ => AddressKind::Public,
        },
    }
}

impl Resolve for Web {
    fn resolve(&self, name: Name) -> Resolving {
        let (web, host) = (self.clone(), name.as_str().to_ascii_lowercase());
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || web.addresses(&host)).await??;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl HttpConnector for Web {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let web = self.clone();
        let client = reqwest::Client::builder()
            .user_agent(concat!("ul2-prep/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(TIMEOUTS.0)
            .timeout(TIMEOUTS.1)
            .http1_only()
            .https_only(self.is_https)
            .redirect(Policy::custom(move |attempt| web.redirect(attempt)))
            .dns_resolver(Arc::new(self.clone()))
            .build();
        let client = client.map_err(|error| object_store::Error::Generic { store: "HTTP", source: Box::new(error) })?;
        Ok(HttpClient::new(Service(HttpClient::new(client))))
    }
}

/// Tells the library which failures it must not retry.
#[derive(Debug)]
struct Service(HttpClient);

impl HttpService for Service {
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
            let answer = self.0.execute(request).await;
            let answer =
                answer.map_err(
                    |error| if is_final(&error) { HttpError::new(HttpErrorKind::Unknown, error) } else { error },
                )?;
            bounded(asked, answer).await
        })
    }
}

/// How to allow a redirect into a private network.
const HINT: &str = "set `UL2_PREP_PRIVATE_REDIRECTS=1` if you trust the server";

/// The hint for a redirect that is not followed.
pub(super) fn hint(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<Refused>)
        .then_some(HINT)
}

/// Whether another attempt would fail the same way: a refused redirect, an unknown certificate, an answer that is too
/// long.
pub(super) fn is_final(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut link = Some(error);
    while let Some(error) = link {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let of_tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).or_else(|| error.downcast_ref());
        let is_known = matches!(of_tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidMessage(_)));
        let text = error.to_string();
        if is_known
            || error.is::<Refused>()
            || error.is::<TooLong>()
            || text == "too many redirects"
            || text.starts_with("invalid ")
        {
            return true;
        }
        link = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_of_the_web_leads_into_no_private_network() {
        let web = Web::new("example.org:8080", false, false, Vec::new());
        let refused =
            ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"];
        let of_six = ["::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"];
        for address in refused.into_iter().chain(of_six) {
            assert!(!web.follows(address.parse().unwrap()), "{address}");
        }
        assert!(
            ["8.8.8.8", "2606:4700::1111", "172.32.0.1"].iter().all(|address| web.follows(address.parse().unwrap()))
        );
        let local = Web::new("127.0.0.1:9", false, false, Vec::new());
        assert!(local.follows("10.0.0.1".parse().unwrap()) && !local.follows("169.254.169.254".parse().unwrap()));
        let allowed = Web::new("example.org", true, true, Vec::new());
        assert!(allowed.follows("169.254.169.254".parse().unwrap()));
        assert_eq!((host_of("[::1]:80"), host_of("Host:80")), ("::1".to_owned(), "host".to_owned()));
    }
}
