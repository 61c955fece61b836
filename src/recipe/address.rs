//! Names and numbers of the network, as strings.

use super::form::Fault;
use std::net::IpAddr;

/// Host name, RFC 1123 and hostname(7).
pub fn hostname(text: &str) -> Result<(), Fault> {
    // HOST_NAME_MAX of Linux, hostname(7).
    if text.len() > 64 {
        return Err(Fault::new("it is longer than the 64 characters that Linux allows"));
    }
    for label in text.split('.') {
        if label.is_empty() {
            return Err(Fault::new("a part between dots is empty"));
        }
        if label.len() > 63 {
            return Err(Fault::new("a part between dots is longer than 63 characters"));
        }
        if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            let help = (c == '_').then(|| "use `-` where `_` is".to_owned());
            return Err(Fault { why: format!("`{c}` may not be in it"), help });
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(Fault::new("a part between dots may not begin or end with `-`"));
        }
    }
    Ok(())
}

/// Address of a mirror: http or https, a host and a path.
pub fn url(text: &str) -> Result<(), Fault> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Fault::new("it has no scheme").help(format!("did you mean `https://{text}`?")));
    };
    if !["http", "https"].contains(&scheme) {
        return Err(Fault::new(format!("`{scheme}` is not a scheme that is fetched"))
            .help("write an http or https address"));
    }
    let host = rest.split('/').next().unwrap_or("");
    if host.contains('@') {
        return Err(Fault::new("it holds a user name or password, which a recipe must not"));
    }
    if host.is_empty() || rest.contains(['?', '#', ' ', '"', '\\']) {
        return Err(Fault::new("a mirror's address is a host and a path")
            .help("for example `https://mirror.example.org/debian`"));
    }
    let name = host_name(host);
    if let Some(text) = port_text(host) {
        port(text)?;
    }
    name.parse::<IpAddr>().map(drop).or_else(|_| hostname(name))
}

fn host_name(host: &str) -> &str {
    if host.starts_with('[') {
        host.split_once(']').map_or(host, |(address, _)| address.trim_start_matches('['))
    } else {
        host.split(':').next().unwrap_or("")
    }
}

fn port_text(host: &str) -> Option<&str> {
    let (before, port) = host.rsplit_once(':')?;
    (!before.contains(':') || before.ends_with(']')).then_some(port)
}

/// The port of an http or https address.
pub fn port_of(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://")?;
    match port_text(rest.split('/').next().unwrap_or("")) {
        Some(text) => port(text).ok(),
        None if scheme == "https" => Some(443),
        None => (scheme == "http").then_some(80),
    }
}

/// The host of an http or https address; none of what lies on this machine.
pub fn host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = host_name(rest.split('/').next().unwrap_or(""));
    (scheme != "file" && !host.is_empty()).then_some(host)
}

/// Address of a package repository: as [`url`], or a directory of the building host.
pub fn source(text: &str) -> Result<(), Fault> {
    let Some(path) = text.strip_prefix("file://") else { return url(text) };
    let plain = |c: char| c.is_alphanumeric() || "/._+~%:=,@-".contains(c);
    if !path.starts_with('/') || !path.chars().all(plain) || path.split('/').any(|part| part == "..") {
        return Err(Fault::new("it is not `file://` and a plain absolute path")
            .help("for example `file:///srv/repository`"));
    }
    Ok(())
}

/// Suite or component of a repository.
pub fn suite(text: &str) -> Result<(), Fault> {
    if text.ends_with('/') {
        return Err(Fault::new("a flat repository, without `dists/`, is not read"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
    let fits = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(plain);
    if text.len() > 128 || !text.split('/').all(fits) {
        return Err(Fault::new(
            "it is not letters, digits and `.`, `_`, `+`, `~`, `-`, in parts between `/`",
        ));
    }
    Ok(())
}

/// The number of a port.
pub fn port(text: &str) -> Result<u16, Fault> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if port > 0 && digits => Ok(port),
        _ => Err(Fault::new("it is not a number from 1 to 65535")),
    }
}

/// Protocol, `/` and port.
pub fn socket(text: &str) -> Result<(), Fault> {
    let help = "for example `tcp/443`";
    match text.split_once('/') {
        Some(("tcp" | "udp", number)) => port(number).map(drop),
        Some((number, "tcp" | "udp")) if port(number).is_ok() => {
            Err(Fault::new("the protocol comes first").help(help))
        }
        _ => Err(Fault::new("it is not a protocol, `/` and a port").help(help)),
    }
}

/// Address with optional prefix length.
pub fn cidr(text: &str) -> Result<(), Fault> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(
            Fault::new("it is neither IPv4 nor IPv6").help("for example `192.0.2.0/24` or `2001:db8::/32`")
        );
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    match prefix {
        None => Ok(()),
        Some(prefix)
            if prefix.bytes().all(|byte| byte.is_ascii_digit())
                && prefix.parse::<u8>().is_ok_and(|bits| bits <= most) =>
        {
            Ok(())
        }
        Some(_) => Err(Fault::new(format!("the prefix is not a number from 0 to {most}"))),
    }
}

/// Mail address, the plain form of RFC 5322.
pub fn email(text: &str) -> Result<(), Fault> {
    let wrong =
        || Fault::new("it is not a local part, `@` and a domain").help("for example `admin@example.org`");
    let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_{|}~.".contains(c);
    if local.is_empty() || local.len() > 64 || !local.chars().all(plain) {
        return Err(wrong());
    }
    hostname(domain)
}
