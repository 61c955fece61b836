//! Reading a .deb: deb(5), an ar archive of `debian-binary`, `control.tar.*` and `data.tar.*`.

use super::stanza::Stanza;
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

/// The most bytes that a control archive may unpack to. The largest in Debian is below 8 MiB.
const CONTROL_LIMIT: u64 = 64 << 20;
/// The most bytes that a data archive may unpack to: far above the largest package, far below a bomb.
const DATA_LIMIT: u64 = 16 << 30;

/// What `control.tar` holds.
#[derive(Debug, Clone)]
pub struct Control {
    /// The fields of `control`.
    pub stanza: Stanza,
    /// Every other file (maintainer scripts, md5sums, conffiles, triggers, templates …) with its mode.
    pub files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Control {
    /// A control file's text, when the package has it.
    pub fn text(&self, name: &str) -> Option<String> {
        self.files.get(name).map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Reads a package's control archive.
pub fn control(path: &Path) -> Result<Control> {
    read_control(path).doing_with(|| format!("reading the package {}", path.display()))
}

fn read_control(path: &Path) -> Result<Control> {
    let mut found = None;
    members(path, |name, reader| {
        let Some(compression) = name.strip_prefix("control.tar") else { return Ok(true) };
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(decompressor(compression, reader)?.take(CONTROL_LIMIT));
        for entry in archive.entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = entry.path()?.into_owned();
            let name = path.strip_prefix("./").unwrap_or(&path).to_string_lossy().into_owned();
            if name.contains('/') || name.is_empty() {
                return Err(Error::new(format!(
                    "the control archive holds the path {name:?}; only plain names may be there"
                )));
            }
            let mode = entry.header().mode()? & 0o777;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(name, (mode, bytes));
        }
        found = Some(files);
        Ok(false)
    })?;
    let mut files = found.ok_or_else(|| Error::new("no control.tar is in it"))?;
    let (_, text) =
        files.remove("control").ok_or_else(|| Error::new("its control archive has no control file"))?;
    let stanza = Stanza::parse(&String::from_utf8_lossy(&text))?;
    Ok(Control { stanza, files })
}

/// Goes through a package's data archive as an uncompressed tar stream.
pub fn data(path: &Path, work: impl FnOnce(&mut dyn Read) -> Result<()>) -> Result<()> {
    let mut work = Some(work);
    members(path, |name, reader| {
        let Some(compression) = name.strip_prefix("data.tar") else { return Ok(true) };
        let mut stream = decompressor(compression, reader)?.take(DATA_LIMIT);
        if let Some(work) = work.take() {
            work(&mut stream)?;
        }
        Ok(false)
    })
    .doing_with(|| format!("unpacking {}", path.display()))?;
    match work {
        None => Ok(()),
        Some(_) => Err(Error::new(format!("unpacking {}", path.display())).because("no data.tar is in it")),
    }
}

/// Calls `each` for the members of the ar archive until it says `false`.
fn members(path: &Path, mut each: impl FnMut(&str, &mut dyn Read) -> Result<bool>) -> Result<()> {
    let mut archive = ar::Archive::new(BufReader::with_capacity(1 << 17, fs_err::File::open(path)?));
    let mut first = true;
    while let Some(member) = archive.next_entry() {
        let mut member = member?;
        let name = String::from_utf8_lossy(member.header().identifier()).trim_end_matches('/').to_owned();
        if first {
            let mut version = String::new();
            (&mut member).take(16).read_to_string(&mut version)?;
            if name != "debian-binary" || !version.starts_with("2.") {
                return Err(Error::new("this is not a Debian package of format 2"));
            }
            first = false;
            continue;
        }
        if !each(&name, &mut member)? {
            return Ok(());
        }
    }
    if first { Err(Error::new("this is not a Debian package: the archive is empty")) } else { Ok(()) }
}

fn decompressor<'a>(extension: &str, reader: &'a mut dyn Read) -> Result<Box<dyn Read + 'a>> {
    Ok(match extension {
        "" => Box::new(reader),
        ".xz" => Box::new(liblzma::read::XzDecoder::new(reader)),
        ".gz" => Box::new(flate2::read::GzDecoder::new(reader)),
        ".zst" => Box::new(zstd::Decoder::new(reader)?),
        other => {
            return Err(Error::new(format!("its tar is compressed as {other:?}; xz, gz and zst are known")));
        }
    })
}
