//! Opening what a person names: an image in any of its formats, or the output directory it lies in. What a file is,
//! its first bytes say, not its name.

use super::source::{FileSource, Source, fill, into_sparse, into_sparse_by};
use crate::disk::formats::qcow2;
use crate::error::{Error, Exit, Result};
use crate::output::names::UNPROVEN;
use fs_err::File;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Endings of the artifacts in an output directory, the one that tells most first.
const ENDINGS: [&str; 6] = ["raw", "raw.zst", "raw.gz", "rootfs.tar.zst", "rootfs.tar.gz", "qcow2"];
/// As many first bytes of a file as tell what it is: a disk's first two sectors, an archive's first header.
const HEAD: usize = 1024;

/// What an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A disk with a GUID partition table.
    Disk,
    /// A root filesystem as a tar archive.
    Archive,
}

/// How that is stored in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// As it is.
    Plain,
    /// Compressed by gzip (RFC 1952).
    Gzip,
    /// Compressed by zstd (RFC 8878).
    Zstandard,
    /// Compressed by xz (the .xz file format 1.2).
    Xz,
    /// In QEMU's own format.
    Qcow2,
}

/// An image that was found and recognised; its content is not read yet.
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub kind: Kind,
    /// How that is stored.
    pub container: Container,
    stored: Source,
}

impl Image {
    /// Finds out what `path` is: an image, or a directory with one.
    pub fn open(path: &Path) -> Result<Self> {
        let path = if path.is_dir() { in_directory(path)? } else { path.to_path_buf() };
        let found = fs_err::metadata(&path).map_err(|error| Error::usage(error.to_string()))?.file_type();
        if !(found.is_file() || found.is_block_device()) {
            return Err(Error::usage(format!("{} is neither a file nor a disk", path.display()))
                .because("an image is read at any place and more than once, which a pipe does not allow")
                .hint("write it to a file first"));
        }
        let mut file = File::open(&path).map_err(|error| Error::usage(error.to_string()))?;
        let mut head = read_head(&mut file, &path)?;
        let container = match &head[..] {
            [0x1f, 0x8b, ..] => Container::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Container::Zstandard,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Container::Xz,
            [b'Q', b'F', b'I', 0xfb, ..] => Container::Qcow2,
            _ => Container::Plain,
        };
        match container {
            Container::Plain => {}
            Container::Qcow2 => head = read_head(&mut foreign(&path)?, &path)?,
            Container::Gzip | Container::Zstandard | Container::Xz => {
                file.seek(SeekFrom::Start(0))?;
                head = read_head(&mut container.unpack(&mut file)?, &path)?;
            }
        }
        let kind = kind(&head).ok_or_else(|| unknown(&path))?;
        let stored: Source = Arc::new(FileSource::new(file)?);
        Ok(Self { path, kind, container, stored })
    }

    /// The bytes of the file.
    pub fn stored(&self) -> &Source {
        &self.stored
    }

    /// The bytes of the disk or the archive; what is compressed is unpacked into a temporary file, its zeros left out.
    pub fn content(&self) -> Result<Source> {
        let doing = format!("unpacking {}", self.path.display());
        let unpacked = match self.container {
            Container::Plain => return Ok(Arc::clone(&self.stored)),
            Container::Qcow2 => {
                into_sparse_by(qcow2::Reader::open(&self.path)?, &doing, |disk, position| {
                    let next = disk.mapped_from(position);
                    disk.seek(SeekFrom::Start(next))?;
                    Ok(next)
                })?
            }
            Container::Gzip | Container::Zstandard | Container::Xz => {
                let stored = BufReader::new(super::source::Stream::new(&self.stored));
                into_sparse(self.container.unpack(stored)?, &doing)?
            }
        };
        Ok(Arc::new(unpacked))
    }
}

impl Container {
    fn unpack<'a>(self, stream: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
        Ok(match self {
            // QEMU's format is read at any place, not as a stream.
            Self::Plain | Self::Qcow2 => Box::new(stream),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(stream)),
            Self::Zstandard => Box::new(zstd::stream::read::Decoder::new(stream)?),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(BufReader::new(stream))),
        })
    }
}

/// Opens a file in QEMU's format, which may be of a kind that cannot be read, or damaged.
fn foreign(path: &Path) -> Result<qcow2::Reader> {
    qcow2::Reader::open(path).map_err(|error| {
        let error = error.exit_with(Exit::Usage);
        match error.advice() {
            Some(_) => error,
            None => error
                .hint("an image in QEMU's format without backing file, snapshots or encryption is expected"),
        }
    })
}

fn read_head(stream: &mut impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let length =
        fill(stream, &mut head).map_err(|error| unknown(path).because(format!("reading it: {error}")))?;
    head.truncate(length);
    Ok(head)
}

/// What content that begins with these bytes is.
fn kind(head: &[u8]) -> Option<Kind> {
    let at = |range: std::ops::Range<usize>| head.get(range);
    // UEFI 2.10, 5.2.3 and 5.3.2: a protective record of type 0xEE before the table; one of both may be damaged.
    let protective = at(510..512) == Some(&[0x55, 0xaa]) && at(450..451) == Some(&[0xee]);
    if protective || at(512..520) == Some(b"EFI PART") {
        Some(Kind::Disk)
    } else if at(257..262) == Some(b"ustar") {
        Some(Kind::Archive)
    } else {
        None
    }
}

fn unknown(path: &Path) -> Error {
    Error::usage(format!("{} is no image that goldcast can compare", path.display())).hint(
        "expected is a disk with a GUID partition table (.raw, .qcow2), a root filesystem as tar, either of them \
         compressed by gzip, zstd or xz, or an output directory with one of them",
    )
}

/// The artifact of an output directory that tells most.
fn in_directory(directory: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
            && entry.path().is_file()
        {
            files.push(name);
        }
    }
    files.sort();
    for ending in ENDINGS {
        for ending in [format!(".{ending}"), format!(".{ending}.{UNPROVEN}")] {
            let found: Vec<&String> = files.iter().filter(|name| name.ends_with(&ending)).collect();
            match found[..] {
                [] => {}
                [one] => return Ok(directory.join(one)),
                [first, second, ..] => {
                    return Err(Error::usage(format!("{} holds several images", directory.display()))
                        .because(format!("{first} and {second}"))
                        .hint("name the file instead of the directory"));
                }
            }
        }
    }
    Err(Error::usage(format!("there is no image in {}", directory.display())).hint(format!(
        "an output directory has a file that ends in one of: {}",
        ENDINGS.map(|ending| format!(".{ending}")).join(" ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        bytes[450] = 0xee;
        bytes[512..520].copy_from_slice(b"EFI PART");
        bytes
    }

    fn opened(bytes: &[u8]) -> Result<(Kind, Container, Vec<u8>)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), bytes).unwrap();
        let image = Image::open(file.path())?;
        let content = image.content()?;
        Ok((image.kind, image.container, content.bytes(0..content.size(), 1 << 20)?))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_are_recognised_by_their_bytes() {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut tar::Header::new_ustar(), "a", &b""[..]).unwrap();
        let archive = archive.into_inner().unwrap();
        for (bytes, kind) in [(disk(), Kind::Disk), (archive, Kind::Archive)] {
            assert_eq!(opened(&bytes).unwrap(), (kind, Container::Plain, bytes.clone()));
            assert_eq!(opened(&gzip(&bytes)).unwrap(), (kind, Container::Gzip, bytes.clone()));
            let compressed = zstd::encode_all(&bytes[..], 1).unwrap();
            assert_eq!(opened(&compressed).unwrap(), (kind, Container::Zstandard, bytes.clone()));
            assert_eq!(opened(&xz(&bytes)).unwrap(), (kind, Container::Xz, bytes));
        }
    }

    #[test]
    fn a_damaged_table_is_still_a_disk() {
        let mut bytes = disk();
        bytes[512] = 0;
        assert_eq!(opened(&bytes).unwrap().0, Kind::Disk);
        let mut bytes = disk();
        bytes[510] = 0;
        assert_eq!(opened(&bytes).unwrap().0, Kind::Disk);
    }

    #[test]
    fn anything_else_is_a_usage_error_that_says_what_was_expected() {
        let damaged = [&gzip(&disk())[..10], &[0xff; 50]].concat();
        for bytes in [&b"hello"[..], &[], &gzip(b"hello"), &damaged, b"QFI\xfb\0\0\0\x03", &[0; 5000]] {
            let error = opened(bytes).unwrap_err();
            assert_eq!(error.exit().code(), 2);
            assert!(error.advice().is_some(), "{error}");
        }
        assert_eq!(Image::open(Path::new("/nowhere")).err().unwrap().exit().code(), 2);
    }

    /// Its length is told as 0: two of them would be the same.
    #[test]
    fn a_pipe_is_refused_and_not_taken_for_an_empty_file() {
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        // Open at both ends, so that nobody waits for the other.
        let mut pipe = fs_err::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        pipe.write_all(&disk()).unwrap();
        let error = Image::open(&path).err().unwrap();
        assert_eq!(error.exit().code(), 2);
        assert!(error.what().contains("neither a file nor a disk"), "{error}");
    }

    #[test]
    fn a_directory_stands_for_its_image() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let name = || in_directory(path).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(in_directory(path).unwrap_err().exit().code(), 2);
        for file in ["x.manifest.json", "x.rootfs.tar.zst", "x.raw.gz", "x.raw.unproven", "x.raw"] {
            fs_err::write(path.join(file), "").unwrap();
            if file != "x.manifest.json" {
                assert_eq!(name(), file);
            }
        }
        fs_err::write(path.join(".y.raw"), "").unwrap();
        assert_eq!(name(), "x.raw");
        fs_err::write(path.join("y.raw"), "").unwrap();
        assert!(in_directory(path).unwrap_err().to_string().contains("x.raw and y.raw"));
    }
}
