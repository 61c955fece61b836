//! Package indexes: where they are, how they are unpacked within bounds, and their stanzas.

use super::release::Release;
use crate::error::{Context, Error, Result};
use crate::store::Want;
use std::io::Read;

/// No Packages file is longer than this once unpacked, in bytes (Debian's main is 60 MB).
const LIMIT: u64 = 1 << 30;

/// The compressions read, preferred ones first.
const ENDINGS: [&str; 3] = [".xz", ".gz", ""];

/// One Packages file of one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// What to download.
    pub want: Want,
    /// Its ending: `.xz`, `.gz` or nothing.
    pub ending: &'static str,
    /// The unpacked length that the signed index tells, in bytes.
    pub unpacked: Option<u64>,
}

/// The Packages files of a suite for an architecture, from its verified Release. As apt has it, an architecture without
/// a list has no packages: of each component there must be the architecture's own list, or the one of `all`.
pub fn files(
    release: &Release,
    suite: &str,
    components: &[&str],
    architecture: &str,
    base: &str,
) -> Result<Vec<IndexFile>> {
    let mut found = Vec::new();
    let architectures = [Some(architecture), release.separate_all.then_some("all")];
    for component in components {
        let before = found.len();
        for architecture in architectures.into_iter().flatten() {
            let plain = format!("{component}/binary-{architecture}/Packages");
            let listed = ENDINGS.iter().find_map(|&ending| {
                let path = format!("{plain}{ending}");
                release.files.get(&path).map(|entry| (ending, path, entry))
            });
            let Some((ending, path, (sha256, size))) = listed else {
                if let Some(other) = unreadable(release, &plain) {
                    let why = format!("there is {other}, and only .xz, .gz and plain lists are read");
                    return Err(none(suite, component, architecture).because(why));
                }
                continue;
            };
            let dir = format!("{base}/dists/{suite}");
            let mut urls = vec![format!("{dir}/{path}")];
            if release.by_hash {
                urls.insert(0, format!("{dir}/{component}/binary-{architecture}/by-hash/SHA256/{sha256}"));
            }
            let what = format!("the package list of {suite} ({component}, {architecture})");
            let unpacked = release.files.get(&plain).map(|(_, size)| *size);
            let want = Want { what, sha256: sha256.clone(), size: *size, urls };
            found.push(IndexFile { want, ending, unpacked });
        }
        if found.len() == before {
            return Err(none(suite, component, architecture));
        }
    }
    Ok(found)
}

fn none(suite: &str, component: &str, architecture: &str) -> Error {
    Error::new(format!("the index of {suite} lists no packages of {component} for {architecture}"))
}

/// The list in a compression that is not among [`ENDINGS`], when there is one.
fn unreadable<'a>(release: &'a Release, plain: &str) -> Option<&'a str> {
    let of_list = |path: &&String| {
        path.strip_prefix(plain).is_some_and(|ending| ending.starts_with('.') && !ending.contains('/'))
    };
    release.files.keys().find(of_list).map(String::as_str)
}

impl IndexFile {
    /// Unpacks its bytes. Never more than the signed index announced, whatever the bytes would unpack to.
    pub fn unpack(&self, bytes: &[u8]) -> Result<String> {
        let bound = self.unpacked.unwrap_or(LIMIT).min(LIMIT);
        let reader: Box<dyn Read + '_> = match self.ending {
            ".xz" => Box::new(liblzma::read::XzDecoder::new_multi_decoder(bytes)),
            ".gz" => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            _ => Box::new(bytes),
        };
        let mut text = Vec::new();
        let read = reader.take(bound + 1).read_to_end(&mut text);
        read.doing_with(|| format!("{} cannot be unpacked", self.want.what))?;
        if text.len() as u64 > bound {
            return Err(Error::new(format!(
                "{} unpacks to more than the announced {bound} bytes",
                self.want.what
            )));
        }
        String::from_utf8(text).map_err(|_| Error::new(format!("{} is not UTF-8", self.want.what)))
    }
}

/// A package as its index describes it; every text borrows from the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// `Package`
    pub name: &'a str,
    /// `Version`
    pub version: &'a str,
    /// `Architecture`
    pub architecture: &'a str,
    /// `Depends`
    pub depends: &'a str,
    /// `Pre-Depends`
    pub pre_depends: &'a str,
    /// `Provides`
    pub provides: &'a str,
    /// `Conflicts`
    pub conflicts: &'a str,
    /// `Breaks`
    pub breaks: &'a str,
    /// `Filename`
    pub filename: &'a str,
    /// `SHA256`
    pub sha256: &'a str,
    /// `Priority`
    pub priority: &'a str,
    /// `Multi-Arch`
    pub multi_arch: &'a str,
    /// `Size`, bytes.
    pub size: u64,
    /// `Installed-Size`, KiB.
    pub installed_size: u64,
    /// `Essential: yes`
    pub essential: bool,
}

/// An entry that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable<'a> {
    /// `Package`
    pub name: &'a str,
    /// `Version`
    pub version: &'a str,
    /// What is wrong with it.
    pub why: String,
}

/// A parsed Packages file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<'a> {
    /// What it is, in errors.
    pub what: &'a str,
    /// Its packages.
    pub stanzas: Vec<Stanza<'a>>,
    /// Its other entries.
    pub unusable: Vec<Unusable<'a>>,
}

impl<'a> List<'a> {
    /// Its packages; an error when there is an entry that cannot be used.
    pub fn whole(self) -> Result<Vec<Stanza<'a>>> {
        match self.unusable.first() {
            Some(bad) => Err(self.refused(bad)),
            None => Ok(self.stanzas),
        }
    }

    /// The error for an entry of it.
    pub fn refused(&self, bad: &Unusable<'_>) -> Error {
        let what = format!("{} has an entry that cannot be used ({} {})", self.what, bad.name, bad.version);
        Error::new(what).because(&bad.why)
    }
}

/// Parses a Packages file. `what` names it in errors.
pub fn parse<'a>(text: &'a str, what: &'a str) -> List<'a> {
    let mut list = List { what, stanzas: Vec::with_capacity(text.len() / 800), unusable: Vec::new() };
    let mut rest = text;
    while !rest.is_empty() {
        let (stanza, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
        rest = after;
        if stanza.trim().is_empty() {
            continue;
        }
        let (stanza, problem) = one(stanza);
        match problem {
            None => list.stanzas.push(stanza),
            Some(why) => {
                list.unusable.push(Unusable { name: stanza.name, version: stanza.version, why });
            }
        }
    }
    list
}

/// The fields that are read, as they are mostly spelled: capital and small letters are the same (policy 5.1).
const FIELDS: [&str; 15] = [
    "Package",
    "Version",
    "Architecture",
    "Depends",
    "Pre-Depends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Filename",
    "SHA256",
    "Priority",
    "Multi-Arch",
    "Essential",
    "Size",
    "Installed-Size",
];

/// An entry, and what is wrong with it.
fn one(text: &str) -> (Stanza<'_>, Option<String>) {
    let mut stanza = Stanza::default();
    let mut problem = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (field, after) = field(rest);
        rest = after;
        // Most lines are of no interest here: tell by the first letter before anything dearer.
        if !matches!(
            field.as_bytes().first().map(u8::to_ascii_uppercase),
            Some(b'P' | b'V' | b'A' | b'D' | b'C' | b'B' | b'F' | b'S' | b'M' | b'I' | b'E')
        ) {
            continue;
        }
        let Some((name, value)) = field.split_once(':') else { continue };
        let value = value.trim();
        match FIELDS.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or_default() {
            "Package" => stanza.name = value,
            "Version" => stanza.version = value,
            "Architecture" => stanza.architecture = value,
            "Depends" => stanza.depends = value,
            "Pre-Depends" => stanza.pre_depends = value,
            "Provides" => stanza.provides = value,
            "Conflicts" => stanza.conflicts = value,
            "Breaks" => stanza.breaks = value,
            // dpkg-scanpackages(1) writes it so when it was called with `.`.
            "Filename" => stanza.filename = value.strip_prefix("./").unwrap_or(value),
            "SHA256" => stanza.sha256 = value,
            "Priority" => stanza.priority = value,
            "Multi-Arch" => stanza.multi_arch = value,
            "Essential" => stanza.essential = value == "yes",
            "Size" => match value.parse() {
                Ok(size) => stanza.size = size,
                Err(_) => problem = Some(format!("its Size is {value:?}")),
            },
            "Installed-Size" => stanza.installed_size = leading_number(value),
            _ => {}
        }
    }
    let problem = problem.or_else(|| check(&stanza).err());
    (stanza, problem)
}

/// An estimate for budgets, which a package may lack: as apt reads it, the digits at its beginning.
fn leading_number(text: &str) -> u64 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or_default()
}

/// The first field with its continuation lines, and what follows it.
fn field(text: &str) -> (&str, &str) {
    let mut end = 0;
    loop {
        match text[end..].find('\n') {
            None => return (text, ""),
            Some(position) => end += position + 1,
        }
        if !text[end..].starts_with([' ', '\t']) {
            return text.split_at(end);
        }
    }
}

/// A signed index is trusted to say which packages are good, not to name paths outside the archive.
fn check(stanza: &Stanza<'_>) -> Result<(), String> {
    if !super::relation::is_package_name(stanza.name) {
        return Err(format!("{:?} is no package name", stanza.name));
    }
    super::version::Version::parse(stanza.version)
        .map_err(|why| format!("version {:?}: {why}", stanza.version))?;
    if stanza.architecture.is_empty()
        || !stanza.architecture.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    {
        return Err(format!("{:?} is no architecture", stanza.architecture));
    }
    if !crate::store::is_sha256(stanza.sha256) {
        return Err("it has no usable SHA256".into());
    }
    if !is_pool_path(stanza.filename) {
        return Err(format!("{:?} is no path in an archive", stanza.filename));
    }
    Ok(())
}

/// Whether a path stays below an archive's address and needs no quoting in it.
pub fn is_pool_path(path: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"/._+~%:=-".contains(&c);
    !path.is_empty()
        && path.bytes().all(plain)
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn entry(more: &str) -> String {
        format!(
            "Package: less\nVersion: 668-1\nArchitecture: amd64\nFilename: pool/main/l/less_668-1_amd64.deb\n\
             Size: 161\nSHA256: {HASH}\n{more}"
        )
    }

    #[test]
    fn stanzas_are_read_with_continuation_lines() {
        let text = entry(
            "Installed-Size: 353\nDepends: libc6 (>= 2.38),\n libtinfo6\nEssential: yes\nTag: a::b,\n Size: 9\n",
        ) + "\n"
            + &entry("Multi-Arch: foreign\n")
            + "\n\n";
        let stanzas = parse(&text, "x").whole().unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].depends, "libc6 (>= 2.38),\n libtinfo6");
        assert_eq!((stanzas[0].size, stanzas[0].installed_size, stanzas[0].essential), (161, 353, true));
        assert_eq!(stanzas[1].multi_arch, "foreign");
        assert_eq!(parse("", "x").whole().unwrap(), []);
    }

    #[test]
    fn what_apt_takes_is_taken() {
        let text =
            entry("").replace("SHA256", "Sha256").replace("Version", "version").replace("pool/", "./pool/");
        let plain = entry("");
        assert_eq!(parse(&text, "x"), parse(&plain, "x"));
        for (text, size) in [("353", 353), ("12.5", 12), ("", 0), ("-1", 0), ("99999999999999999999", 0)] {
            let text = entry(&format!("Installed-Size: {text}\n"));
            assert_eq!(parse(&text, "x").whole().unwrap()[0].installed_size, size, "{text}");
        }
    }

    #[test]
    fn an_odd_entry_does_not_spoil_the_others() {
        let odd = entry("").replace("less\nVersion: 668-1", "odd\nVersion: v1.2");
        let text = [entry(""), odd.replace("Size: 161\n", ""), entry("")].join("\n");
        let list = parse(&text, "the list");
        assert_eq!(list.stanzas.len(), 2);
        assert_eq!((list.unusable[0].name, list.unusable[0].version), ("odd", "v1.2"));
        let error = list.whole().unwrap_err().to_string();
        let wanted = "the list has an entry that cannot be used (odd v1.2): version \"v1.2\": it does not begin with a";
        assert!(error.starts_with(wanted), "{error}");
    }

    #[test]
    fn entries_that_would_do_harm_are_refused_by_name() {
        for (from, to) in [
            ("pool/main", "../main"),
            ("pool/main", "/pool/main"),
            ("pool/main", "pool//main"),
            ("668-1\n", "668 1\n"),
            ("Package: less", "Package: ../less"),
            (HASH, "00"),
            ("161", "x"),
            ("amd64\n", "../amd64\n"),
        ] {
            let text = entry("").replace(from, to);
            assert_ne!(text, entry(""));
            let error = parse(&text, "the list").whole().unwrap_err();
            assert!(error.what().starts_with("the list has an entry"), "{error}");
        }
    }

    #[test]
    fn unpacking_stops_at_the_announced_length() {
        use std::io::Write;
        let text = entry("").repeat(1000);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        let gz = gz.finish().unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(text.as_bytes()).unwrap();
        let xz = xz.finish().unwrap();
        let want = Want { what: "the list".into(), sha256: HASH.into(), size: 0, urls: Vec::new() };
        for (ending, bytes) in [(".gz", gz), (".xz", xz), ("", text.clone().into_bytes())] {
            let mut file = IndexFile { want: want.clone(), ending, unpacked: Some(text.len() as u64) };
            assert_eq!(file.unpack(&bytes).unwrap(), text);
            file.unpacked = Some(text.len() as u64 - 1);
            assert!(file.unpack(&bytes).unwrap_err().what().contains("more than the announced"));
            if !ending.is_empty() {
                assert!(file.unpack(&bytes[..bytes.len() / 2]).is_err());
            }
        }
    }

    /// An index that lists these files.
    fn list(paths: &[&str]) -> Release {
        Release {
            date: 0,
            valid_until: None,
            files: paths.iter().map(|path| (path.to_string(), (HASH.to_string(), 5))).collect(),
            by_hash: true,
            separate_all: false,
            signed_by: String::new(),
        }
    }

    #[test]
    fn the_best_listed_file_is_taken_by_its_hash() {
        let all =
            ["main/binary-amd64/Packages", "main/binary-amd64/Packages.gz", "main/binary-amd64/Packages.xz"];
        let found = files(&list(&all), "trixie", &["main"], "amd64", "http://m.test/debian").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].ending, found[0].unpacked), (".xz", Some(5)));
        let dir = "http://m.test/debian/dists/trixie/main/binary-amd64";
        assert_eq!(
            found[0].want.urls,
            [format!("{dir}/by-hash/SHA256/{HASH}"), format!("{dir}/Packages.xz")]
        );
        let mut release = list(&["main/binary-amd64/Packages.gz", "main/binary-all/Packages.xz"]);
        release.separate_all = true;
        let found = files(&release, "trixie", &["main"], "amd64", "http://m.test/debian").unwrap();
        assert_eq!(found.iter().map(|file| file.ending).collect::<Vec<_>>(), [".gz", ".xz"]);
        assert!(files(&list(&all), "trixie", &["main"], "vax", "b").unwrap_err().what().contains("vax"));
    }

    #[test]
    fn an_architecture_without_a_list_has_no_packages() {
        let files = |paths: &[&str], components: &[&str]| {
            let release = Release { separate_all: true, ..list(paths) };
            files(&release, "s", components, "amd64", "b")
        };
        let whats = |paths: &[&str]| -> Vec<String> {
            files(paths, &["main"]).unwrap().into_iter().map(|file| file.want.what).collect()
        };
        let diff = "main/binary-all/Packages.diff/Index";
        assert_eq!(whats(&["main/binary-amd64/Packages.gz", diff]), ["the package list of s (main, amd64)"]);
        assert_eq!(whats(&["main/binary-all/Packages"]), ["the package list of s (main, all)"]);
        let error = files(&["main/binary-all/Packages"], &["main", "extra"]).unwrap_err();
        assert_eq!(error.what(), "the index of s lists no packages of extra for amd64");
        // A list that is there and cannot be read is not taken for an empty one.
        let error = files(&["main/binary-amd64/Packages.zst", "main/binary-all/Packages"], &["main"]);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("no packages of main for amd64: there is main/binary-amd64/Packages.zst"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(Package|Version|Size|Depends|[a-zA-Z:. \n]|é){0,60}") {
            let _ = parse(&text, "x");
        }
    }
}
