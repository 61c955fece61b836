//! The lab: a private network with the booted image on one end of a wire and an outside host on the other.
//!
//! The wire is a tap device in a network namespace of the run's own. Its host's end has several addresses, IPv4 and
//! IPv6, so that one of them can be shut out and another still get in; it is also the router and the name server that a
//! fixed address of the image wants, and whoever else the image calls by an address. dnsmasq gives the guest its address,
//! its router and its names, and every name leads to the outside host, where a mail server, a clock and a Debian archive
//! answer. Nothing is forwarded: from the guest there is no way to the machine's own network, and from that none to the
//! guest.

mod archive;
mod background;
mod certificates;
mod clock;
mod listener;
mod mail;
mod mail_ports;

pub use archive::Package;
pub use mail::{Account, Letter, MailServer, Service};
pub use mail_ports::MailPorts;

use super::addresses::{Addresses, LEASED};
use crate::error::{Context, Error, Result};
use crate::sandbox::{Child, Network, Tools};
use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

/// The tap device's name.
pub const TAP: &str = "lab0";
/// The device through which the kernel makes taps.
pub const TUN: &str = "/dev/net/tun";
/// The guest's card: QEMU's own prefix, locally administered.
pub const MAC: &str = "52:54:00:12:34:56";
/// The outside host's card: a copy of a machine finds the neighbour that the machine knew.
const HOST_MAC: &str = "52:54:00:12:34:01";

/// The outside host's addresses: name, IPv4, IPv6. The first is the router of a guest that asks for one, and every
/// name's address. Each has a network of its own with IPv6, as subscribers have; the attacker has two addresses of one.
const HOSTS: [(&str, Ipv4Addr, Ipv6Addr); 4] = [
    ("host", Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0, 0, 0, 0x1)),
    ("owner", Ipv4Addr::new(192, 0, 2, 11), Ipv6Addr::new(0x2001, 0xdb8, 0x2, 0x11, 0, 0, 0, 0x1)),
    ("attacker", Ipv4Addr::new(192, 0, 2, 12), Ipv6Addr::new(0x2001, 0xdb8, 0x2, 0x12, 0, 0, 0, 0x1)),
    ("accomplice", Ipv4Addr::new(192, 0, 2, 13), Ipv6Addr::new(0x2001, 0xdb8, 0x2, 0x12, 0, 0, 0, 0x2)),
];

/// Where the owner comes from.
pub const OWNER: (Ipv4Addr, Ipv6Addr) = (HOSTS[1].1, HOSTS[1].2);

/// How many more it has, for those who come in vain.
const STRANGERS: u8 = 100;

/// Where somebody comes from who is refused in this check. Each check has an address of its own, so that nobody is taken
/// for one who keeps trying.
pub fn stranger(check: &str) -> (Ipv4Addr, Ipv6Addr) {
    numbered_stranger(Sha256::digest(check)[0] % STRANGERS)
}

fn numbered_stranger(number: u8) -> (Ipv4Addr, Ipv6Addr) {
    let last = 128 + number;
    (Ipv4Addr::new(192, 0, 2, last), Ipv6Addr::new(0x2001, 0xdb8, 0x3, last.into(), 0, 0, 0, 0x1))
}

/// The most that a guest may send in one packet, as it is told by DHCP: less than its card would.
const MTU: u16 = 1400;

/// Every address of the outside host: which of them the image calls, its recipe says.
const ANYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// How long dnsmasq may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The outside of one machine. It lives in the network namespace of the thread that opened it, and ends with it.
pub struct Lab {
    addresses: Addresses,
    _names: Child,
    mail: MailServer,
    archive: archive::Archive,
    certificates: certificates::Certificates,
    _clock: clock::Clock,
}

impl Lab {
    /// Makes the wire to a guest with these addresses and what answers at its far end, letters at these ports, in the
    /// network namespace of the calling thread. `work` takes logs.
    pub fn open(addresses: &Addresses, mail: &MailPorts, tools: &Tools, work: &Path) -> Result<Self> {
        wire(addresses, tools)?;
        let certificates = certificates::Certificates::new()?;
        let mail = MailServer::start(ANYWHERE, mail.clone(), certificates.clone())?;
        let archive = archive::Archive::start(ANYWHERE, 80)?;
        // Without TCP an answer must come from the address that was asked, which here is but one.
        let clock = clock::Clock::start(HOSTS[0].1.into(), 123)?;
        let names = names(tools, work)?;
        Ok(Self { addresses: addresses.clone(), _names: names, mail, archive, certificates, _clock: clock })
    }

    /// Where the guest is.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The mail server.
    pub fn mail(&self) -> &MailServer {
        &self.mail
    }

    /// Puts a package into the lab's Debian archive.
    pub fn publish(&self, package: Package) {
        self.archive.publish(package);
    }

    /// What checks may call the lab's addresses and keys: `{{lab.attacker}}`, `{{lab.attacker6}}`,
    /// `{{lab.archive-key}}` (base64 of OpenPGP's binary form), `{{lab.authority}}` (PEM), `{{lab.mtu}}` (bytes).
    pub fn values(&self) -> Result<Value> {
        let key = base64::engine::general_purpose::STANDARD.encode(self.archive.key()?);
        Ok(values(&key, self.certificates.authority()))
    }
}

/// What a lab will be called, with a stand-in for its keys.
pub fn foreseen() -> Value {
    values("key", "certificate")
}

fn values(archive_key: &str, authority: &str) -> Value {
    let mut lab = serde_json::Map::new();
    for (name, four, six) in HOSTS {
        lab.insert(name.to_owned(), json!(four.to_string()));
        lab.insert(format!("{name}6"), json!(six.to_string()));
    }
    lab.insert("archive-key".into(), archive_key.into());
    lab.insert("authority".into(), authority.into());
    lab.insert("mtu".into(), MTU.into());
    Value::Object(lab)
}

/// Makes the tap device with the outside host's addresses, and those that the image expects at the other end.
fn wire(addresses: &Addresses, tools: &Tools) -> Result<()> {
    if !Path::new(TUN).exists() {
        return Err(Error::new(format!("there is no {TUN} on this machine"))
            .hint("load the kernel's module `tun`, or give the container that device"));
    }
    let mut batch = format!("tuntap add dev {TAP} mode tap\nlink set {TAP} address {HOST_MAC} up\n");
    for (address, prefix) in ends(addresses) {
        // Without duplicate address detection: it would hold the address back until the guest's card is up.
        let at_once = if address.is_ipv6() { " nodad" } else { "" };
        batch.push_str(&format!("address add {address}/{prefix} dev {TAP}{at_once}\n"));
    }
    batch.push_str(&format!("route replace {} dev {TAP}\n", addresses.guest));
    if let Some(guest) = addresses.guest6 {
        batch.push_str(&format!("route replace {guest} dev {TAP}\n"));
    }
    // A router says that it is one when it is asked whether it is still there; who hears that it is none goes no more
    // by it (RFC 4861, sections 4.4 and 7.2.5).
    let router = format!("ip -batch - && echo 1 >/proc/sys/net/ipv6/conf/{TAP}/forwarding");
    tools
        .command("sh")
        .device(TUN)
        .network(Network::Inherit)
        .args(["-c", &router])
        .stdin(batch.into_bytes())
        .run()
        .map(drop)
        .doing("making the lab's network")
}

/// The addresses of the outside host's card with the lengths of their prefixes, each address once.
fn ends(addresses: &Addresses) -> Vec<(IpAddr, u8)> {
    let hosts = HOSTS.into_iter().map(|(_, four, six)| (four, six));
    let mut ends = Vec::new();
    for (four, six) in hosts.chain((0..STRANGERS).map(numbered_stranger)) {
        // The first is the only one in the network that is advertised to the guest: the others come through it.
        let prefix = if six == HOSTS[0].2 { 64 } else { 128 };
        ends.extend([(four.into(), 24), (six.into(), prefix)]);
    }
    for address in addresses.at_the_other_end() {
        let known = ends.iter().any(|(known, _)| *known == address);
        let guests = address == addresses.guest || addresses.guest6.is_some_and(|guest| address == guest);
        if !known && !guests && !address.is_loopback() {
            ends.push((address, if address.is_ipv6() { 128 } else { 32 }));
        }
    }
    ends
}

/// Starts what gives the guest addresses and names.
fn names(tools: &Tools, work: &Path) -> Result<Child> {
    let host = HOSTS[0].1;
    let log = work.join("dnsmasq.log");
    let child = tools
        .command("dnsmasq")
        .network(Network::Inherit)
        .log(&log)
        .args(["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null"])
        .args(["--user=root", "--group=root", "--pid-file=", "--leasefile-ro"])
        .args(["--no-resolv", "--no-hosts", "--no-ping", "--bind-dynamic", "--dhcp-authoritative"])
        .arg(format!("--interface={TAP}"))
        .arg(format!("--dhcp-range={LEASED},{LEASED},12h"))
        .arg(format!("--dhcp-host={MAC},{LEASED}"))
        .args(["--dhcp-range=2001:db8:1::,ra-stateless", "--enable-ra"])
        .arg(format!("--dhcp-option=option:ntp-server,{host}"))
        .arg(format!("--dhcp-option=option:mtu,{MTU}"))
        .arg("--domain=lab.test")
        // Every name leads to the outside host: a relay or a mirror of the recipe is found there.
        .arg(format!("--address=/#/{host}"))
        .spawn()
        .doing("starting the lab's name server")?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        crate::interrupt::check()?;
        if let Some(status) = child.try_wait()? {
            let told = fs_err::read_to_string(&log).unwrap_or_default();
            let last = told.trim().lines().last().unwrap_or_default().to_owned();
            return Err(Error::new("the lab's name server ended").because(status).because(last));
        }
        // It says so once its sockets are open.
        if fs_err::read_to_string(&log).unwrap_or_default().contains("started, version") {
            return Ok(child);
        }
        if Instant::now() > deadline {
            return Err(Error::new("the lab's name server did not start in time"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
