//! Reading one address: http, https, or a file.

use super::proxy::{Names, Proxies, Ways};
use crate::error::{Error, Result};
use crate::interrupt;
use fs_err as fs;
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::http::StatusCode;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The advice when a proxy wants to know who asks.
const CREDENTIALS: &str = "put the user and the password into its address: http://user:password@host:port";

/// Why an address gave nothing.
#[derive(Debug)]
pub enum Failure {
    /// It is not there, or can never be had from there; another address may have it.
    Absent(String),
    /// It may work a moment later.
    Passing(String),
    /// The server cannot send the rest from that offset: what is there is no prefix of what it has.
    NoRange,
}

/// An open answer.
pub struct Answer {
    /// The bytes.
    pub body: Box<dyn Read>,
    /// Where in the whole the first byte lies: the offset asked for, or 0 when the server ignores ranges.
    pub offset: u64,
    /// Length of the whole in bytes, where the server tells.
    pub length: Option<u64>,
}

/// The one HTTP stack. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    /// Held, not used: the watch ends with the last clone.
    _watched: Sender<()>,
}

impl Client {
    /// A client that obeys `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.
    pub fn new() -> Self {
        Self::by(Proxies::from_environment())
    }

    /// A client with these proxies.
    pub fn by(proxies: Proxies) -> Self {
        let (proxies, resolver) = (Arc::new(proxies), Arc::new(Remembering::default()));
        let names = Names { proxies: Arc::clone(&proxies), resolver: Arc::clone(&resolver) };
        let (tunnelled, plain) = (config(proxies.tunnel()), Arc::default());
        let ways = Ways { proxies, resolver, tunnelled, plain };
        let agent = ureq::Agent::with_parts(config(None), ways, names);
        Self { _watched: watch(agent.clone()), agent }
    }

    /// Opens an address from this offset on. `fresh` asks caches on the way to check with the origin.
    pub fn open(&self, url: &str, offset: u64, fresh: bool) -> Result<Answer, Failure> {
        match local_path(url) {
            Some(path) => open_file(path, offset),
            None => self.open_http(url, offset, fresh),
        }
    }

    fn open_http(&self, url: &str, offset: u64, fresh: bool) -> Result<Answer, Failure> {
        let mut request = self.agent.get(url).header("accept-encoding", "identity");
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        if fresh {
            request = request.header("cache-control", "max-age=0");
        }
        let response = request.call().map_err(|error| failure(&error))?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let (offset, length) = match status.as_u16() {
            200 => (0, header("content-length").and_then(|text| text.parse().ok())),
            206 => match header("content-range").and_then(content_range) {
                Some((start, length)) if start == offset => (offset, length),
                _ => return Err(Failure::NoRange),
            },
            416 => return Err(Failure::NoRange),
            _ => return Err(refused("the server", status)),
        };
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Answer { body: Box::new(body), offset, length })
    }
}

fn config(proxy: Option<ureq::Proxy>) -> ureq::config::Config {
    ureq::Agent::config_builder()
        .proxy(proxy)
        .http_status_as_error(false)
        .timeout_resolve(Some(Duration::from_secs(12)))
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(15)))
        .max_idle_connections_per_host(16)
        .user_agent(concat!("goldcast/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Closes the agent's connections once a signal asked the run to stop: a read from a server that says nothing would
/// otherwise keep it for the length of its timeout.
fn watch(agent: ureq::Agent) -> Sender<()> {
    let (alive, gone) = mpsc::channel();
    std::thread::spawn(move || {
        while gone.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            if interrupt::caught().is_some() {
                agent.shutdown();
                return;
            }
        }
    });
    alive
}

/// Asks for a host's address once. Eight connections to one mirror that ask at the same moment are eight
/// chances for a lost answer, each of which costs seconds.
#[derive(Debug, Default)]
struct Remembering {
    known: Mutex<HashMap<String, ResolvedSocketAddrs>>,
}

impl Resolver for Remembering {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let key = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |a| a.as_str())
        );
        // Held while asking, so that the others wait for this answer.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = known.get(&key) {
            return Ok(copy(addresses));
        }
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        known.insert(key, copy(&found));
        Ok(found)
    }
}

fn copy(addresses: &ResolvedSocketAddrs) -> ResolvedSocketAddrs {
    let mut copy = DefaultResolver::default().empty();
    for address in addresses.iter() {
        copy.push(*address);
    }
    copy
}

/// The file that an address means, for `file://` addresses and bare absolute paths.
pub fn local_path(url: &str) -> Option<PathBuf> {
    if url.starts_with('/') {
        return Some(PathBuf::from(url));
    }
    let rest = url.strip_prefix("file://")?;
    // RFC 8089 allows an authority; only the empty one and localhost mean this machine.
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    Some(PathBuf::from(percent_decoded(path)))
}

fn open_file(path: PathBuf, offset: u64) -> Result<Answer, Failure> {
    let open = || -> std::io::Result<(fs::File, u64)> {
        let mut file = fs::File::open(&path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        Ok((file, length))
    };
    let (file, length) = open().map_err(|error| Failure::Absent(error.to_string()))?;
    Ok(Answer { body: Box::new(file), offset, length: Some(length) })
}

fn failure(error: &ureq::Error) -> Failure {
    use ureq::Error as E;
    let text = error.to_string();
    match error {
        E::BadUri(_)
        | E::Http(_)
        | E::HostNotFound
        | E::InvalidProxyUrl
        | E::TooManyRedirects
        | E::Tls(_) => Failure::Absent(text),
        E::ConnectProxyFailed(why) => no_tunnel(why),
        // A proxy that cannot be used.
        E::Other(why) => Failure::Absent(why.to_string()),
        _ => Failure::Passing(text),
    }
}

/// What an answer that gives nothing says of the address.
fn refused(by: &str, status: StatusCode) -> Failure {
    match status.as_u16() {
        407 => Failure::Absent(format!("the proxy answered {status}; {CREDENTIALS}")),
        408 | 429 | 500..=599 => Failure::Passing(format!("{by} answered {status}")),
        _ => Failure::Absent(format!("{by} answered {status}")),
    }
}

/// Why a proxy makes no tunnel. ureq tells its answer in words: `proxy server responded 403/403`.
fn no_tunnel(why: &str) -> Failure {
    let status = why.strip_prefix("proxy server responded ").and_then(|rest| rest.get(..3));
    match status.and_then(|digits| digits.parse().ok()) {
        Some(status) => refused("the proxy", status),
        None => Failure::Passing(why.to_owned()),
    }
}

/// `bytes 100-199/200` as start and whole length (RFC 9110, 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, length.parse().ok()))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let pair = tail.get(..2).filter(|_| first == b'%').and_then(|pair| hex::decode(pair).ok());
        match pair {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether an address is one that can be opened here.
pub fn check_scheme(url: &str) -> Result<()> {
    if ["http://", "https://", "file://", "/"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    Err(Error::usage(format!("{url:?} is not an address goldcast can read from"))
        .hint("an address starts with http://, https:// or file://"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::server::{Reply, Server};
    use std::time::Instant;

    #[test]
    fn file_addresses_become_paths() {
        assert_eq!(local_path("/a b"), Some("/a b".into()));
        assert_eq!(local_path("file:///a%20b%"), Some("/a b%".into()));
        assert_eq!(local_path("file://localhost/a"), Some("/a".into()));
        assert_eq!(local_path("http://x/a"), None);
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 0-1/*"), Some((0, None)));
        assert_eq!(content_range("bytes */200"), None);
        assert_eq!(content_range("items 1-2/3"), None);
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!(check_scheme("ftp://x/debian").is_err());
        assert!(check_scheme("debian").is_err());
        assert!(check_scheme("https://x/debian").is_ok());
    }

    #[test]
    fn what_stops_a_run_closes_connections_to_proxies_too() {
        let proxy = Server::start();
        proxy.put("http://mirror.invalid/x", Reply::Slow(vec![0; 10], Duration::from_secs(2)));
        let client = Client::by(Proxies::new(|name| (name == "http_proxy").then(|| proxy.url(""))));
        let mut answer = client.open("http://mirror.invalid/x", 0, false).ok().unwrap();
        let began = Instant::now();
        client.agent.shutdown();
        assert!(answer.body.read_to_end(&mut Vec::new()).is_err());
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
