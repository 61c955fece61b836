//! The lab: a private network with the booted image on one end of a wire and an outside host on the other.
//!
//! The wire is a tap device in a network namespace of the run's own. Its host's end has several addresses, IPv4 and
//! IPv6, so that one of them can be shut out and another still get in; dnsmasq gives the guest its address, its router
//! and its names, and every name leads to the outside host, where a mail server, a clock and a Debian archive
//! answer. Nothing is
//! forwarded: from the guest there is no way to the machine's own network, and from that none to the guest.

mod archive;
mod background;
mod certificates;
mod clock;
mod listener;
mod mail;

pub use archive::Package;
pub use mail::{Letter, MailServer, Service};

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

/// The guest's IPv4 address, of the block for documentation (RFC 5737).
pub const GUEST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// The guest's IPv6 address (RFC 3849), as it makes it itself from its card's address (RFC 4291, appendix A).
pub const GUEST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0x5054, 0xff, 0xfe12, 0x3456);

/// The outside host's addresses: name, IPv4, IPv6. The first is the guest's router and every name's address.
const HOSTS: [(&str, Ipv4Addr, Ipv6Addr); 3] = [
    ("host", Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0, 0, 0, 0x1)),
    ("owner", Ipv4Addr::new(192, 0, 2, 11), Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0, 0, 0, 0x11)),
    ("attacker", Ipv4Addr::new(192, 0, 2, 12), Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0, 0, 0, 0x12)),
];

/// How many more it has, for those who come in vain.
const STRANGERS: u8 = 100;

/// Where somebody comes from who is refused in this check. Each check has an address of its own, so that nobody is taken
/// for one who keeps trying.
pub fn stranger(check: &str) -> (Ipv4Addr, Ipv6Addr) {
    numbered_stranger(Sha256::digest(check)[0] % STRANGERS)
}

fn numbered_stranger(number: u8) -> (Ipv4Addr, Ipv6Addr) {
    let last = 128 + number;
    (Ipv4Addr::new(192, 0, 2, last), Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0, 0, 0, 0, last.into()))
}

/// Where a mail server answers: among servers, and for clients with and without STARTTLS.
const MAIL_PORTS: [u16; 3] = [25, 465, 587];
/// How long dnsmasq may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The outside of one machine. It lives in the network namespace of the thread that opened it, and ends with it.
pub struct Lab {
    _names: Child,
    mail: MailServer,
    archive: archive::Archive,
    certificates: certificates::Certificates,
    _clock: clock::Clock,
}

impl Lab {
    /// Makes the wire and what answers at its far end, in the network namespace of the calling thread. `work` takes
    /// logs.
    pub fn open(tools: &Tools, work: &Path) -> Result<Self> {
        wire(tools)?;
        let host = IpAddr::V4(HOSTS[0].1);
        let certificates = certificates::Certificates::new()?;
        let mail = MailServer::start(host, &MAIL_PORTS, certificates.clone())?;
        let archive = archive::Archive::start(host, 80)?;
        let clock = clock::Clock::start(host, 123)?;
        let names = names(tools, work)?;
        Ok(Self { _names: names, mail, archive, certificates, _clock: clock })
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
    /// `{{lab.archive-key}}` (base64 of OpenPGP's binary form), `{{lab.authority}}` (PEM).
    pub fn values(&self) -> Result<Value> {
        let mut lab = serde_json::Map::new();
        for (name, four, six) in HOSTS {
            lab.insert(name.to_owned(), json!(four.to_string()));
            lab.insert(format!("{name}6"), json!(six.to_string()));
        }
        let key = base64::engine::general_purpose::STANDARD.encode(self.archive.key()?);
        lab.insert("archive-key".into(), key.into());
        lab.insert("authority".into(), self.certificates.authority().into());
        Ok(Value::Object(lab))
    }
}

/// What checks may call the guest's addresses in a lab: `{{guest.address}}`, `{{guest.address6}}`.
pub fn guest() -> Value {
    json!({ "address": GUEST.to_string(), "address6": GUEST6.to_string() })
}

/// Makes the tap device with the outside host's addresses.
fn wire(tools: &Tools) -> Result<()> {
    if !Path::new(TUN).exists() {
        return Err(Error::new(format!("there is no {TUN} on this machine"))
            .hint("load the kernel's module `tun`, or give the container that device"));
    }
    let mut batch = format!("tuntap add dev {TAP} mode tap\nlink set {TAP} address {HOST_MAC} up\n");
    let hosts = HOSTS.into_iter().map(|(_, four, six)| (four, six));
    for (four, six) in hosts.chain((0..STRANGERS).map(numbered_stranger)) {
        batch.push_str(&format!("address add {four}/24 dev {TAP}\n"));
        // Without duplicate address detection: it would hold the address back until the guest's card is up.
        batch.push_str(&format!("address add {six}/64 dev {TAP} nodad\n"));
    }
    tools
        .command("ip")
        .device(TUN)
        .network(Network::Inherit)
        .args(["-batch", "-"])
        .stdin(batch.into_bytes())
        .run()
        .map(drop)
        .doing("making the lab's network")
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
        .arg(format!("--dhcp-range={GUEST},{GUEST},12h"))
        .arg(format!("--dhcp-host={MAC},{GUEST}"))
        .args(["--dhcp-range=2001:db8:1::,ra-stateless", "--enable-ra"])
        .arg(format!("--dhcp-option=option:ntp-server,{host}"))
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
