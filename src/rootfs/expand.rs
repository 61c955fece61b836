//! Data archives of packages, kept in a form that is read several times faster than xz: it is paid once a package,
//! not once a build.

use super::deb;
use super::unpack::Package;
use crate::error::{Context, Error, Result};
use crate::store;
use std::io::{Read, Write};
use std::path::Path;

/// The fastest: on disk it is about as large as the package itself.
const LEVEL: i32 = 1;

/// Goes through a package's data archive as an uncompressed tar stream: that of the expanded package where there is
/// one, else that of the .deb, from which the expanded one is made on the way.
pub fn data(package: &Package, work: impl FnOnce(&mut dyn Read) -> Result<()>) -> Result<()> {
    let Some(place) = &package.expanded else { return deb::data(&package.deb, work) };
    match fs_err::File::open(place) {
        Ok(file) => {
            let doing = || format!("reading {}", place.display());
            let stream = zstd::Decoder::new(file).doing_with(doing);
            let read = stream.and_then(|mut stream| {
                work(&mut stream)?;
                // The checksum is behind the last byte.
                std::io::copy(&mut stream, &mut std::io::sink()).doing_with(doing)?;
                Ok(())
            });
            read.map_err(|error| {
                // Of no use to anybody; it is made anew from the package.
                fs_err::remove_file(place).ok();
                error
                    .doing(format!("unpacking {}", package.control.stanza.package()))
                    .hint("what the cache had of it has been removed; run the same command again")
            })
        }
        Err(_) => expanding(&package.deb, place, work),
    }
}

/// Expands a package that has just come, while others are still on their way. What goes wrong is told when the package
/// is unpacked.
pub fn ahead(deb: &Path, place: &Path) {
    if !place.exists() {
        expanding(deb, place, |_| Ok(())).ok();
    }
}

fn expanding(deb: &Path, place: &Path, work: impl FnOnce(&mut dyn Read) -> Result<()>) -> Result<()> {
    genuine(deb)?;
    let parent = place.parent().ok_or_else(|| Error::new("the cache has no place for expanded packages"))?;
    let file =
        tempfile::Builder::new().prefix("making-").tempfile_in(parent).doing("writing into the cache")?;
    let mut out = zstd::Encoder::new(file, LEVEL)?;
    out.include_checksum(true)?;
    deb::data(deb, |stream| {
        let mut both = Tee { from: stream, to: &mut out };
        work(&mut both)?;
        std::io::copy(&mut both, &mut std::io::sink())?;
        Ok(())
    })?;
    let file = out.finish().doing("writing into the cache")?;
    file.persist(place).map_err(|error| error.error).doing("writing into the cache")?;
    Ok(())
}

/// The store names a package by its sha256. What a machine that crashed left of it may not be that any more.
fn genuine(deb: &Path) -> Result<()> {
    let name = deb.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !store::is_sha256(name) || store::hash_file(deb)? == name {
        return Ok(());
    }
    fs_err::remove_file(deb).ok();
    Err(Error::new(format!("the downloaded package {} was damaged", deb.display()))
        .hint("it has been removed; run the same command again to fetch it anew"))
}

struct Tee<'a, W> {
    from: &'a mut dyn Read,
    to: &'a mut W,
}

impl<W: Write> Read for Tee<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.to.write_all(&buffer[..count])?;
        Ok(count)
    }
}
