//! A Debian archive for the guest: whatever mirror a recipe names leads here. Its suites are empty until a check
//! publishes something, signed with a key of its own that a guest trusts when it is told to.

use super::listener::Listener;
use crate::error::{Context, Error, Result};
use crate::recipe::address;
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::CertBuilder;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::serialize::stream::{Message, Signer};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Components that every suite has, as Debian's do; a package may bring another.
const COMPONENTS: [&str; 4] = ["main", "contrib", "non-free", "non-free-firmware"];
/// The list of a component's packages, below that.
const LIST: &str = "/binary-amd64/Packages";
/// Longest head of a request.
const HEAD_LIMIT: u64 = 64 << 10;
/// Key and indexes are from before today: a copy of a machine goes on with the clock that it had.
const KEY_AGE: Duration = Duration::from_secs(366 * 86_400);
const INDEX_AGE: Duration = Duration::from_secs(86_400);

/// A package of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The only host that has it; none: every host.
    pub host: Option<String>,
    /// The suite it is in, `trixie-security`.
    pub suite: String,
    /// The component of that; none: the first.
    pub component: Option<String>,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is run as root after it was unpacked, a shell script; may be empty.
    pub postinst: String,
    /// One line of news about this version; may be empty.
    pub news: String,
}

impl Package {
    fn is_at(&self, host: &str) -> bool {
        self.host.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(host))
    }

    fn component(&self) -> &str {
        self.component.as_deref().unwrap_or(COMPONENTS[0])
    }

    fn path(&self) -> String {
        format!("pool/{}_{}_all.deb", self.name, self.version)
    }

    fn control(&self) -> String {
        let Self { name, version, .. } = self;
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Lab <root@lab.test>\n\
             Section: admin\nPriority: optional\nDescription: a package of the lab\n"
        )
    }

    /// NEWS.Debian (Debian Policy 12.8 and the Developer's Reference 6.3.4), in the form of deb-changelog(5).
    fn news(&self) -> String {
        // Always the same, as the package must be.
        format!(
            "{} ({}) {}; urgency=medium\n\n  {}\n\n -- Lab <root@lab.test>  Mon, 01 Jan 2024 00:00:00 +0000\n",
            self.name, self.version, self.suite, self.news
        )
    }

    /// The package as a file: deb(5), with a file in a directory that every machine has, and its news.
    fn deb(&self) -> std::io::Result<Vec<u8>> {
        let control = self.control();
        let mut scripts = vec![("./control", 0o644, control.as_str())];
        if !self.postinst.is_empty() {
            scripts.push(("./postinst", 0o755, &self.postinst));
        }
        let file = format!("./usr/share/{}.version", self.name);
        let directory = format!("./usr/share/doc/{}/", self.name);
        let (news_file, news) = (format!("{directory}NEWS.Debian"), self.news());
        let mut data = vec![(file.as_str(), 0o644, self.version.as_str())];
        if !self.news.is_empty() {
            data.extend([(directory.as_str(), 0o755, ""), (&news_file, 0o644, &news)]);
        }
        let mut ar = ar::Builder::new(Vec::new());
        for (name, bytes) in
            [("debian-binary", b"2.0\n".to_vec()), ("control.tar", tar(&scripts)?), ("data.tar", tar(&data)?)]
        {
            ar.append(&ar::Header::new(name.into(), bytes.len() as u64), bytes.as_slice())?;
        }
        ar.into_inner()
    }
}

/// A path that ends with a slash is a directory.
fn tar(files: &[(&str, u32, &str)]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, text) in files {
        let mut header = tar::Header::new_gnu();
        // With `./` at the front, as dpkg-deb(1) writes it: dpkg's filters of paths count on that, and the crate's own
        // way to set a path takes it away.
        let name = &mut header.as_old_mut().name;
        if path.len() >= name.len() {
            return Err(std::io::Error::other(format!("{path} is too long for a package of the lab")));
        }
        name[..path.len()].copy_from_slice(path.as_bytes());
        if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.set_mode(*mode);
        header.set_size(text.len() as u64);
        header.set_cksum();
        tar.append(&header, text.as_bytes())?;
    }
    tar.into_inner()
}

/// The archive; it ends when this is dropped.
pub struct Archive {
    shared: Arc<Shared>,
    _listener: Listener,
}

struct Shared {
    key: Cert,
    packages: Mutex<Vec<Package>>,
}

impl Archive {
    /// Answers at this port of an address, in the network namespace of the calling thread.
    pub fn start(address: IpAddr, port: u16) -> Result<Self> {
        let key = CertBuilder::general_purpose(Some("archive@lab.test"))
            .set_creation_time(SystemTime::now() - KEY_AGE)
            .set_validity_period(None)
            .generate()
            .map_err(pgp)?
            .0;
        let shared = Arc::new(Shared { key, packages: Mutex::default() });
        let server = Arc::clone(&shared);
        let listener = Listener::start(address, &[port], move |stream| answer(&stream, &server))?;
        Ok(Self { shared, _listener: listener })
    }

    /// The key that signs the suites, in OpenPGP's binary form.
    pub fn key(&self) -> Result<Vec<u8>> {
        self.shared.key.clone().strip_secret_key_material().to_vec().map_err(pgp)
    }

    /// Puts a package into its suite.
    pub fn publish(&self, package: Package) {
        self.shared.packages().push(package);
    }
}

fn pgp(error: sequoia_openpgp::anyhow::Error) -> Error {
    Error::new(error.to_string()).doing("making the key of the lab's archive")
}

impl Shared {
    fn packages(&self) -> MutexGuard<'_, Vec<Package>> {
        self.packages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is at a path of a host; the directories above `dists` and `pool` are the mirror's own affair.
    fn at(&self, host: &str, path: &str) -> Result<Option<Vec<u8>>> {
        if let Some((_, file)) = path.split_once("/pool/") {
            // The one character of a package's name that apt writes otherwise (RFC 3986, section 2.1).
            let wanted = format!("pool/{}", file.replace("%2b", "+").replace("%2B", "+"));
            let fits = |package: &&Package| package.path() == wanted && package.is_at(host);
            let found = self.packages().iter().find(fits).cloned();
            return found.map(|package| package.deb().doing("making a package")).transpose();
        }
        let Some((_, file)) = path.split_once("/dists/") else { return Ok(None) };
        if let Some(suite) = file.strip_suffix("/InRelease") {
            return self.sign(&self.release(host, suite)?).map(Some);
        }
        match file.ends_with(LIST) {
            true => self.list(host, file).map(|text| Some(text.into_bytes())),
            false => Ok(None),
        }
    }

    /// Packages(5) at a path below `dists`. Suites and components may have slashes in them: which is which, the packages
    /// tell.
    fn list(&self, host: &str, path: &str) -> Result<String> {
        let mut text = String::new();
        let fits = |p: &&Package| p.is_at(host) && path == list_path(&p.suite, p.component());
        for package in self.packages().iter().filter(fits) {
            let deb = package.deb().doing("making a package")?;
            let (size, sha256) = (deb.len(), hex::encode(Sha256::digest(&deb)));
            text.push_str(&package.control());
            text.push_str(&format!("Filename: {}\nSize: {size}\nSHA256: {sha256}\n\n", package.path()));
        }
        Ok(text)
    }

    fn release(&self, host: &str, suite: &str) -> Result<String> {
        // As Debian's own archives name themselves: unattended-upgrades goes by that.
        let label = if suite.ends_with("-security") { "Debian-Security" } else { "Debian" };
        let date = (jiff::Timestamp::now() - INDEX_AGE).strftime("%a, %d %b %Y %H:%M:%S UTC");
        let mut components = COMPONENTS.map(str::to_owned).to_vec();
        for package in self.packages().iter().filter(|package| package.suite == suite && package.is_at(host))
        {
            if !components.iter().any(|known| known == package.component()) {
                components.push(package.component().to_owned());
            }
        }
        let mut text = format!(
            "Origin: Debian\nLabel: {label}\nSuite: {suite}\nCodename: {suite}\nDate: {date}\n\
             Architectures: all amd64\nComponents: {}\nSHA256:\n",
            components.join(" ")
        );
        for component in components {
            let list = self.list(host, &list_path(suite, &component))?;
            let sha256 = hex::encode(Sha256::digest(&list));
            text.push_str(&format!(" {sha256} {} {component}{LIST}\n", list.len()));
        }
        Ok(text)
    }

    fn sign(&self, text: &str) -> Result<Vec<u8>> {
        let sign = || {
            let keys = self.key.keys().secret().filter(|key| key.key().pk_algo().for_signing());
            let key = keys.map(|key| key.key().clone()).last();
            let pair = key.ok_or_else(|| sequoia_openpgp::anyhow::anyhow!("no key"))?.into_keypair()?;
            let mut bytes = Vec::new();
            let mut message = Signer::new(Message::new(&mut bytes), pair)?
                .cleartext()
                .creation_time(SystemTime::now() - INDEX_AGE)
                .build()?;
            message.write_all(text.as_bytes())?;
            message.finalize()?;
            Ok(bytes)
        };
        sign().map_err(pgp)
    }
}

/// Where a component's list is, below `dists`.
fn list_path(suite: &str, component: &str) -> String {
    format!("{suite}/{component}{LIST}")
}

/// Answers one request (RFC 9112); apt(8) comes again for the next.
fn answer(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = BufReader::new(stream).take(HEAD_LIMIT);
    let mut request = String::new();
    head.read_line(&mut request)?;
    let (mut line, mut host) = (String::new(), String::new());
    while head.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("host")
        {
            address::host(&format!("http://{}/", value.trim())).unwrap_or_default().clone_into(&mut host);
        }
        line.clear();
    }
    let path = request.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let (status, body) = match shared.at(&host, path) {
        Ok(Some(body)) => ("200 OK", body),
        Ok(None) => ("404 Not Found", Vec::new()),
        Err(error) => ("500 Internal Server Error", error.to_string().into_bytes()),
    };
    let mut out = stream;
    write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    out.write_all(&body)
}

#[cfg(test)]
mod tests {
    use super::super::listener::testing::free;
    use super::*;
    use crate::archive::release::Keyring;

    fn get(address: std::net::SocketAddr, path: &str) -> (String, Vec<u8>) {
        get_from(address, "any", path)
    }

    fn get_from(address: std::net::SocketAddr, host: &str, path: &str) -> (String, Vec<u8>) {
        let mut client = TcpStream::connect(address).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        (String::from_utf8(all[..end].to_vec()).unwrap(), all[end + 4..].to_vec())
    }

    fn package(suite: &str, version: &str) -> Package {
        Package {
            host: None,
            suite: suite.into(),
            component: None,
            name: "canary".into(),
            version: version.into(),
            postinst: String::new(),
            news: "It sings.".into(),
        }
    }

    #[test]
    fn a_package_is_in_its_component_and_suites_may_have_slashes() {
        let address = free();
        let archive = Archive::start(address.ip(), address.port()).unwrap();
        let text = |path: &str| String::from_utf8(get(address, path).1).unwrap();
        for (suite, component, version) in
            [("trixie", Some("stable"), "1.0"), ("a/updates", None, "2.0"), ("a", Some("b/c"), "3.0")]
        {
            archive.publish(Package { component: component.map(str::to_owned), ..package(suite, version) });
            let component = component.unwrap_or("main");
            let list = text(&format!("/debian/dists/{suite}/{component}/binary-amd64/Packages"));
            assert!(list.contains(&format!("Version: {version}\n")), "{suite}: {list}");
            let release = text(&format!("/debian/dists/{suite}/InRelease"));
            let listed = format!(
                " {} {} {component}/binary-amd64/Packages\n",
                hex::encode(Sha256::digest(&list)),
                list.len()
            );
            assert!(
                release.contains(&listed) && release.contains(&format!("\nSuite: {suite}\n")),
                "{release}"
            );
        }
        assert!(text("/debian/dists/trixie/InRelease").contains(" non-free-firmware stable\n"));
        assert!(text("/debian/dists/trixie/main/binary-amd64/Packages").is_empty());
        assert!(get(address, "/debian/dists/trixie/Release").0.starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn a_published_package_is_in_its_suite_and_in_no_other() {
        let address = free();
        let archive = Archive::start(address.ip(), address.port()).unwrap();
        archive.publish(package("trixie-security", "2.0"));
        let (_, list) = get(address, "/debian-security/dists/trixie-security/main/binary-amd64/Packages");
        let list = String::from_utf8(list).unwrap();
        assert!(list.contains("Package: canary\nVersion: 2.0\n"), "{list}");
        let (head, other) = get(address, "/debian/dists/trixie/main/binary-amd64/Packages");
        assert!(head.starts_with("HTTP/1.1 200") && other.is_empty());
        let (_, signed) = get(address, "/debian-security/dists/trixie-security/InRelease");
        assert!(String::from_utf8_lossy(&signed).contains(&hex::encode(Sha256::digest(&list))));
        let keyring = Keyring::read([archive.key().unwrap().as_slice()]);
        assert!(keyring.is_ok());
        let (_, deb) = get(address, "/debian-security/pool/canary_2.0_all.deb");
        assert!(list.contains(&hex::encode(Sha256::digest(&deb))));
        archive.publish(Package { name: "c++".into(), ..package("trixie", "5.0") });
        assert!(get(address, "/debian/pool/c%2b%2b_5.0_all.deb").0.starts_with("HTTP/1.1 200"));
        archive.publish(Package { host: Some("repo.example.org".into()), ..package("extra", "4.0") });
        let path = "/dists/extra/main/binary-amd64/Packages";
        assert!(get(address, path).1.is_empty());
        let list = get_from(address, "repo.example.org:80", path).1;
        assert!(String::from_utf8(list).unwrap().contains("Version: 4.0\n"));
        archive.publish(Package { host: Some("2001:db8:9::1".into()), ..package("extra", "6.0") });
        assert!(!get_from(address, "[2001:db8:9::1]", path).1.is_empty());
        assert!(!get_from(address, "[2001:db8:9::1]:80", path).1.is_empty());
        assert!(get(address, "/debian/pool/canary_3.0_all.deb").0.starts_with("HTTP/1.1 404"));
    }
}
