//! Proxies: which one an address goes by, and the connections to and through them.
//!
//! Left alone, ureq opens a tunnel (CONNECT) for `http://` addresses, too. Ordinary proxies allow tunnels to port 443
//! only, and caches of packages would have nothing to cache.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};

/// The proxies of `http://` and `https://` addresses, and the hosts that are asked without one.
///
/// The variables are those of curl: `http_proxy` and `https_proxy`, else `all_proxy`, and `no_proxy`; each also in
/// capitals, which count less.
#[derive(Debug, Default)]
pub struct Proxies {
    http: Option<Setting>,
    https: Option<Setting>,
    direct: Vec<Direct>,
}

/// A proxy that can be used, or why it cannot. That is told when something would go by it.
type Setting = Result<Named, String>;

#[derive(Debug)]
struct Named {
    proxy: ureq::Proxy,
    variable: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{} of {}", self.proxy.host(), self.proxy.port(), self.variable)
    }
}

impl Proxies {
    /// Those of the environment.
    pub fn from_environment() -> Self {
        Self::new(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Those of the variables that this function knows. An empty one counts as none.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            let spelt = names.iter().flat_map(|name| [(*name).to_owned(), name.to_uppercase()]);
            spelt.into_iter().find_map(|name| {
                let value = variable(&name)?.trim().to_owned();
                (!value.is_empty()).then_some((name, value))
            })
        };
        let proxy = |names: &[&str]| first(names).map(|(name, value)| setting(name, &value));
        let direct = first(&["no_proxy"]).map_or_else(String::new, |(_, value)| value);
        let direct = direct.split([',', ' ', '\t']).filter_map(Direct::parse).collect();
        Self {
            http: proxy(&["http_proxy", "all_proxy"]),
            https: proxy(&["https_proxy", "all_proxy"]),
            direct,
        }
    }

    /// The proxy of `https://` addresses, where one is set and can be used.
    pub fn tunnel(&self) -> Option<ureq::Proxy> {
        self.https.as_ref()?.as_ref().ok().map(|named| named.proxy.clone())
    }

    fn of(&self, uri: &Uri) -> Result<Option<&Named>, ureq::Error> {
        let (setting, port) = match uri.scheme_str() {
            Some("https") => (&self.https, 443),
            _ => (&self.http, 80),
        };
        let host = uri.host().unwrap_or_default().to_lowercase();
        let host = host.trim_matches(['[', ']']).trim_end_matches('.');
        let port = uri.port_u16().unwrap_or(port);
        match setting {
            Some(_) if self.direct.iter().any(|direct| direct.covers(host, port)) => Ok(None),
            Some(Err(why)) => Err(ureq::Error::Other(why.clone().into())),
            Some(Ok(named)) => Ok(Some(named)),
            None => Ok(None),
        }
    }
}

/// What is wrong never quotes the address: it may have a password in it.
fn setting(variable: String, value: &str) -> Setting {
    const ADVICE: &str = "give it as http://host:port or https://host:port";
    if let Some((scheme, _)) = value.split_once("://")
        && scheme.chars().all(|c| c.is_ascii_alphanumeric())
        && !["http", "https"].contains(&scheme.to_lowercase().as_str())
    {
        return Err(format!("{variable} names a {scheme} proxy, which goldcast does not speak to; {ADVICE}"));
    }
    match ureq::Proxy::new(value) {
        Ok(proxy) => Ok(Named { proxy, variable }),
        Err(_) => Err(format!("{variable} is not the address of a proxy; {ADVICE}")),
    }
}

/// An entry of `no_proxy`: a host with all below it, an address, a network in CIDR notation, or `*`; each also with
/// a port.
#[derive(Debug)]
struct Direct {
    host: String,
    port: Option<u16>,
}

impl Direct {
    fn parse(entry: &str) -> Option<Self> {
        let (host, port) = match entry.rsplit_once(':') {
            // More colons are those of an IPv6 address, which takes a port only after its brackets.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (entry, None),
        };
        let host = host.trim_matches(['[', ']']);
        let host = host.strip_prefix("*.").unwrap_or(host).trim_matches('.').to_lowercase();
        (!host.is_empty()).then_some(Self { host, port })
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match host.parse() {
            _ if self.host == "*" => true,
            Ok(address) => within(address, &self.host),
            Err(_) => host
                .strip_suffix(self.host.as_str())
                .is_some_and(|left| left.is_empty() || left.ends_with('.')),
        }
    }
}

/// Whether an address is this one, or of this network.
fn within(address: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').unwrap_or((network, "128"));
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (address, base.parse()) {
        (IpAddr::V4(one), Ok(IpAddr::V4(two))) => {
            (one.to_bits() ^ two.to_bits()).leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(one), Ok(IpAddr::V6(two))) => {
            (one.to_bits() ^ two.to_bits()).leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

/// Asks for the addresses of hosts that are reached directly; the others are the proxy's to find.
#[derive(Debug)]
pub struct Names<R> {
    /// When to ask.
    pub proxies: Arc<Proxies>,
    /// Whom to ask.
    pub resolver: Arc<R>,
}

impl<R: Resolver> Resolver for Names<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        match self.proxies.of(uri)? {
            Some(_) => Ok(self.empty()),
            None => self.resolver.resolve(uri, config, timeout),
        }
    }
}

/// Opens connections: direct ones; for `http://` by a proxy, to the proxy; for `https://` by a proxy, through it.
#[derive(Debug)]
pub struct Ways<R> {
    /// Which way an address goes.
    pub proxies: Arc<Proxies>,
    /// Finds the proxies themselves.
    pub resolver: Arc<R>,
    /// The agent's configuration, with [`Proxies::tunnel`]. The agent's own has no proxy.
    pub tunnelled: Config,
    /// Opens each part of the way.
    pub plain: Arc<DefaultConnector>,
}

impl<R: Resolver> Connector for Ways<R> {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(named) = self.proxies.of(details.uri)? else {
            return self.plain.connect(details, chained);
        };
        let name = named.to_string();
        let lost = move |error: ureq::Error| {
            let error = error.into_io();
            ureq::Error::Io(std::io::Error::new(error.kind(), format!("cannot reach {name}: {error}")))
        };
        let proxy = named.proxy.uri();
        let found = self.resolver.resolve(proxy, details.config, details.timeout).map_err(&lost)?;
        let tunnel = details.needs_tls();
        let (uri, addrs, config) = match tunnel {
            true => (details.uri, self.resolver.empty(), &self.tunnelled),
            false => (proxy, found, details.config),
        };
        // The tunnel's way to its proxy must not be taken for one that goes by a proxy again.
        let (plain, lost_in_tunnel) = (Arc::clone(&self.plain), lost.clone());
        let run_connector = Arc::new(move |details: &ConnectionDetails| {
            let opened = plain.connect(details, None).map_err(&lost_in_tunnel)?;
            opened.ok_or(ureq::Error::ConnectionFailed)
        });
        let way = ConnectionDetails {
            uri,
            addrs,
            config,
            request_level: details.request_level,
            resolver: &*self.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: Arc::clone(&details.current_time),
            run_connector,
            register_shutdown: Arc::clone(&details.register_shutdown),
        };
        if tunnel {
            return self.plain.connect(&way, chained);
        }
        let Some(inner) = self.plain.connect(&way, chained).map_err(lost)? else { return Ok(None) };
        let (origin, credentials) = (origin(details.uri), credentials(&named.proxy));
        Ok(Some(Box::new(ByProxy { inner, origin, credentials, begins: true })))
    }
}

/// Scheme, host and port, without a user (RFC 9110, 4.2.4).
fn origin(uri: &Uri) -> String {
    let port = uri.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("http://{}{port}", uri.host().unwrap_or_default())
}

/// The header line with the proxy's user and password (RFC 7617), or nothing.
fn credentials(proxy: &ureq::Proxy) -> String {
    let (user, password) = (proxy.username(), proxy.password());
    if user.or(password).is_none() {
        return String::new();
    }
    let both = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(both))
}

/// A connection to a proxy. Requests leave it in absolute form (RFC 9112, 3.2.2).
struct ByProxy {
    inner: Box<dyn Transport>,
    origin: String,
    credentials: String,
    /// What is sent next begins a request: nothing was sent yet, or an answer was waited for since.
    begins: bool,
}

impl fmt::Debug for ByProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByProxy")
            .field("inner", &self.inner)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Transport for ByProxy {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if !std::mem::take(&mut self.begins) {
            return self.inner.transmit_output(amount, timeout);
        }
        let output = self.inner.buffers().output();
        let request = absolute(&output[..amount], &self.origin, &self.credentials);
        // It may not fit any more.
        let room = output.len();
        for part in request.chunks(room) {
            self.inner.buffers().output()[..part.len()].copy_from_slice(part);
            self.inner.transmit_output(part.len(), timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.begins = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// A request whose first line has the origin before the path, and these lines after it. ureq sends whole lines.
fn absolute(request: &[u8], origin: &str, lines: &str) -> Vec<u8> {
    let place = |wanted| request.iter().position(|&byte| byte == wanted).map_or(0, |place| place + 1);
    let (target, end) = (place(b' '), place(b'\n'));
    if target == 0 || end < target {
        return request.to_vec();
    }
    let parts =
        [&request[..target], origin.as_bytes(), &request[target..end], lines.as_bytes(), &request[end..]];
    parts.concat()
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
