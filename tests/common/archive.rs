//! A made-up Debian archive, tiny and signed: enough to choose packages from and to unpack a tools tree.

use flate2::{Compression, write::GzEncoder};
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::CertBuilder;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::serialize::stream::{self, Message};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Its suites, each with the archive it is in.
pub const SUITES: [(&str, &str); 3] =
    [("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security")];

/// A day in seconds.
pub const DAY: i64 = 86400;

/// A program of 132 bytes that ends well: an ELF header (elf(5)), one segment, and `exit(0)` for x86-64.
const TRUE: [u8; 132] = {
    let mut elf = [0; 132];
    let head: [u8; 20] = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0];
    let code: [u8; 9] = [0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut at = 0;
    while at < 20 {
        elf[at] = head[at];
        at += 1;
    }
    at = 0;
    while at < 9 {
        elf[120 + at] = code[at];
        at += 1;
    }
    elf[20] = 1; // version
    (elf[24], elf[26]) = (0x78, 0x40); // entry: 0x400078
    elf[32] = 64; // program headers follow the header
    (elf[52], elf[54], elf[56]) = (64, 56, 1); // sizes of both, and their number
    (elf[64], elf[68]) = (1, 5); // load, readable and executable
    (elf[82], elf[90]) = (0x40, 0x40); // at 0x400000
    (elf[96], elf[104], elf[113]) = (132, 132, 0x10); // length, aligned to 4096
    elf
};

/// A key that signs indexes.
pub struct Signer(Cert);

impl Signer {
    /// A new key, made long before the indexes.
    pub fn new() -> Self {
        let made = at(now() - 400 * DAY);
        let builder = CertBuilder::general_purpose(Some("archive@example.test"));
        Self(builder.set_creation_time(made).set_validity_period(None).generate().unwrap().0)
    }

    /// Its public part.
    pub fn armoured(&self) -> Vec<u8> {
        self.0.clone().strip_secret_key_material().armored().to_vec().unwrap()
    }

    /// The text clear-signed at this time.
    pub fn sign(&self, text: &str, when: i64) -> Vec<u8> {
        let keys = self.0.keys().secret().filter(|key| key.key().pk_algo().for_signing());
        let pair = keys.map(|key| key.key().clone()).last().unwrap().into_keypair().unwrap();
        let mut bytes = Vec::new();
        let signer = stream::Signer::new(Message::new(&mut bytes), pair).unwrap();
        let mut message = signer.cleartext().creation_time(at(when)).build().unwrap();
        message.write_all(text.as_bytes()).unwrap();
        message.finalize().unwrap();
        bytes
    }
}

/// A package of it.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The suite it is in.
    pub suite: &'static str,
    /// More fields, a line each.
    pub fields: String,
    /// Files in it, by path.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Package {
    /// A package in the main suite.
    pub fn new(name: &str, version: &str, fields: &str) -> Self {
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\n") };
        Self { name: name.into(), version: version.into(), suite: "trixie", fields, files: Vec::new() }
    }

    fn path(&self) -> String {
        format!("pool/main/{0}/{0}_{1}_amd64.deb", self.name, self.version)
    }

    fn control(&self) -> String {
        let Self { name, version, fields, .. } = self;
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.test>\n\
             Installed-Size: 1024\n{fields}Description: made up\n"
        )
    }

    /// The package as a file: deb(5).
    pub fn deb(&self) -> Vec<u8> {
        let control = vec![("control".to_owned(), self.control().into_bytes())];
        let mut ar = ar::Builder::new(Vec::new());
        for (name, bytes) in [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", tar_gz(&control)),
            ("data.tar.gz", tar_gz(&self.files)),
        ] {
            ar.append(&ar::Header::new(name.into(), bytes.len() as u64), bytes.as_slice()).unwrap();
        }
        ar.into_inner().unwrap()
    }
}

fn tar_gz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut put = |path: &str, kind, mode, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, format!("./{path}"), bytes).unwrap();
    };
    let mut made = std::collections::BTreeSet::new();
    for (path, bytes) in files {
        let mut parents: Vec<_> = Path::new(path).ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents.into_iter().filter(|parent| !parent.as_os_str().is_empty()) {
            if made.insert(parent.to_path_buf()) {
                put(&format!("{}/", parent.display()), tar::EntryType::Directory, 0o755, &[]);
            }
        }
        put(path, tar::EntryType::Regular, 0o755, bytes);
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// The archive, on disk.
pub struct Archive {
    dir: PathBuf,
    /// What is in it from the next [`Archive::publish`] on.
    pub packages: Vec<Package>,
    /// When its indexes were made, seconds since 1970.
    pub date: i64,
    /// Until when they count.
    pub valid_until: i64,
    /// Who signs.
    pub signer: Signer,
}

impl Archive {
    /// An archive with a greeter, what it needs, two essential packages and the tools, published.
    pub fn new(dir: &Path) -> Self {
        let mut packages = vec![
            Package::new("base-files", "13.8", "Essential: yes\nPre-Depends: libc6"),
            Package::new("libc6", "2.41-12", ""),
            Package::new("greeter", "2.0-1", "Depends: libgreet (>= 1.0)"),
            Package::new("libgreet", "1.2-3", "Depends: libc6"),
            Package::new("telnet-ssl", "1.0", ""),
        ];
        for name in goldcast::rootfs::tools::packages() {
            packages.push(Package::new(&name, "1.0", ""));
        }
        let coreutils = packages.iter_mut().find(|package| package.name == "coreutils").unwrap();
        coreutils.files.push(("usr/bin/true".into(), TRUE.to_vec()));
        let archive = Self {
            dir: dir.to_path_buf(),
            packages,
            date: now() - DAY,
            valid_until: now() + 6 * DAY,
            signer: Signer::new(),
        };
        archive.publish();
        archive
    }

    /// Its address for `--mirror`.
    pub fn address(&self) -> String {
        format!("file://{}/debian", self.dir.display())
    }

    /// The directory that holds `debian` and `debian-security`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A package of it, to be changed.
    pub fn package(&mut self, name: &str) -> &mut Package {
        self.packages.iter_mut().find(|package| package.name == name).unwrap()
    }

    /// A package's file.
    pub fn deb(&self, name: &str) -> PathBuf {
        let package = self.packages.iter().find(|package| package.name == name).unwrap();
        self.archive_of(package.suite).join(package.path())
    }

    /// A suite's signed index.
    pub fn inrelease(&self, suite: &str) -> PathBuf {
        self.archive_of(suite).join("dists").join(suite).join("InRelease")
    }

    /// A suite's list of packages.
    pub fn list(&self, suite: &str) -> PathBuf {
        self.inrelease(suite).with_file_name("main").join("binary-amd64/Packages.xz")
    }

    fn archive_of(&self, suite: &str) -> PathBuf {
        let found = SUITES.iter().find(|(_, name)| *name == suite).unwrap();
        self.dir.join(found.0)
    }

    /// Writes all of it anew.
    pub fn publish(&self) {
        for (_, suite) in SUITES {
            self.publish_packages(suite);
            self.sign(suite, &self.release(suite), &self.signer);
        }
    }

    fn publish_packages(&self, suite: &str) {
        let mut text = String::new();
        for package in self.packages.iter().filter(|package| package.suite == suite) {
            let deb = package.deb();
            let path = self.archive_of(suite).join(package.path());
            put(&path, &deb);
            let (size, sha256) = (deb.len(), hex::encode(Sha256::digest(&deb)));
            text.push_str(&package.control());
            text.push_str(&format!("Filename: {}\nSize: {size}\nSHA256: {sha256}\n\n", package.path()));
        }
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(text.as_bytes()).unwrap();
        let xz = xz.finish().unwrap();
        let list = self.list(suite);
        put(&list, &xz);
        put(&list.with_file_name("by-hash/SHA256").join(hex::encode(Sha256::digest(&xz))), &xz);
    }

    /// The text of a suite's index, for the lists that are on disk.
    pub fn release(&self, suite: &str) -> String {
        let list = fs_err::read(self.list(suite)).unwrap();
        let show = |seconds| {
            jiff::Timestamp::from_second(seconds).unwrap().strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
        };
        format!(
            "Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {}\nValid-Until: {}\nAcquire-By-Hash: yes\n\
             Architectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages.xz\n",
            show(self.date),
            show(self.valid_until),
            hex::encode(Sha256::digest(&list)),
            list.len()
        )
    }

    /// Publishes this text as a suite's index, signed.
    pub fn sign(&self, suite: &str, text: &str, signer: &Signer) {
        put(&self.inrelease(suite), &signer.sign(text, self.date));
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
}

/// This moment, seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds as u64)
}
