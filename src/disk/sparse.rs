//! Files with holes: written without their zeros, read without touching them.

use crate::error::{Context, Result};
use crate::interrupt;
use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha256};
use std::os::fd::AsFd;
use std::path::Path;

/// Bytes that are written or left out together: the block of every filesystem that matters.
const BLOCK: usize = 4096;
/// Bytes hashed at a time.
const HASHED: usize = 1 << 20;

/// Writes `bytes` at `offset`, leaving out blocks of zeros: there must be a hole in their place.
pub fn write_at(file: &File, offset: u64, bytes: &[u8]) -> Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        let mut blocks = bytes[at..].chunks(BLOCK);
        let data: usize = blocks.by_ref().take_while(|block| !is_zero(block)).map(<[u8]>::len).sum();
        file.write_all_at(&bytes[at..at + data], offset + at as u64)?;
        at += data;
        at += bytes[at..].chunks(BLOCK).take_while(|block| is_zero(block)).map(<[u8]>::len).sum::<usize>();
    }
    Ok(())
}

/// Whether all bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Sixteen at a time, which the compiler turns into vector instructions.
    let words = bytes.chunks_exact(16);
    words.remainder().iter().all(|&byte| byte == 0) && words.clone().all(|word| word == [0; 16])
}

/// A file cut into pieces of one length (the last may be shorter), in order. Where the cuts are, and which
/// pieces are told to be zeros, depends on the content only, never on how the filesystem stores it.
#[derive(Debug)]
pub struct Pieces {
    file: File,
    size: u64,
    position: u64,
    length: usize,
    /// The stretch of stored data that ends beyond `position`, once it was asked for.
    data: Option<std::ops::Range<u64>>,
}

/// One piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// That many zeros; the buffer was not touched.
    Zeros(usize),
    /// The buffer holds the bytes.
    Data,
}

impl Pieces {
    /// Cuts the file at `path` into pieces of `length` bytes.
    pub fn open(path: &Path, length: usize) -> Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size, position: 0, length, data: None })
    }

    /// The next piece; its bytes, unless they are zeros, replace what is in `buffer`.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Piece>> {
        interrupt::check()?;
        let length = (self.size - self.position).min(self.length as u64) as usize;
        if length == 0 {
            return Ok(None);
        }
        let position = self.position;
        self.position += length as u64;
        if self.data_from(position)?.start >= self.position {
            return Ok(Some(Piece::Zeros(length)));
        }
        buffer.resize(length, 0);
        self.file.read_exact_at(buffer, position)?;
        Ok(Some(if is_zero(buffer) { Piece::Zeros(length) } else { Piece::Data }))
    }

    /// The first stretch of data that ends beyond `position`; empty at the file's end when there is none.
    fn data_from(&mut self, position: u64) -> Result<std::ops::Range<u64>> {
        if let Some(data) = self.data.clone().filter(|data| data.end > position) {
            return Ok(data);
        }
        let data = data_from(&self.file, position, self.size)?;
        self.data = Some(data.clone());
        Ok(data)
    }
}

/// The first stretch of stored data of `file` (of `size` bytes) that ends beyond `position`; it begins at `size` when
/// only a hole is left. Where the filesystem tells of no holes, all is data.
pub fn data_from(file: &File, position: u64, size: u64) -> Result<std::ops::Range<u64>> {
    let seek = |offset: u64, whence| lseek(file.file().as_fd(), offset as i64, whence);
    match seek(position, Whence::SeekData) {
        Ok(start) => Ok(start as u64..seek(start as u64, Whence::SeekHole)? as u64),
        // No data up to the end of the file.
        Err(Errno::ENXIO) => Ok(size..u64::MAX),
        // The filesystem does not tell (lseek(2)).
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(0..u64::MAX),
        Err(error) => Err(error).doing_with(|| format!("reading {}", file.path().display())),
    }
}

/// The file's sha256 in hex. Holes are hashed as the zeros they are, but not read.
pub fn sha256(path: &Path) -> Result<String> {
    let zeros = vec![0; HASHED];
    let mut hash = Sha256::new();
    let mut pieces = Pieces::open(path, HASHED)?;
    let mut buffer = Vec::new();
    while let Some(piece) = pieces.next(&mut buffer)? {
        match piece {
            Piece::Zeros(length) => hash.update(&zeros[..length]),
            Piece::Data => hash.update(&buffer),
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// Bytes fingerprinted at a time: enough for several threads.
const FINGERPRINTED: usize = 8 << 20;

/// A digest of the file's length and bytes (BLAKE3, hex) that is not that of `b3sum`: holes and zeros are told by their
/// length, so that it takes a tenth of the time of [`sha256`]. For recognising one's own files.
pub fn fingerprint(path: &Path) -> Result<String> {
    let mut hash = blake3::Hasher::new();
    let mut pieces = Pieces::open(path, FINGERPRINTED)?;
    let mut buffer = Vec::new();
    while let Some(piece) = pieces.next(&mut buffer)? {
        match piece {
            Piece::Zeros(length) => hash.update(b"zeros").update(&(length as u64).to_le_bytes()),
            Piece::Data => {
                hash.update(b"bytes").update(&(buffer.len() as u64).to_le_bytes()).update_rayon(&buffer)
            }
        };
    }
    Ok(hash.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::MetadataExt;

    fn pieces(path: &Path, length: usize) -> (Vec<u8>, Vec<Piece>) {
        let mut pieces = Pieces::open(path, length).unwrap();
        let (mut all, mut kinds, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(piece) = pieces.next(&mut buffer).unwrap() {
            match piece {
                Piece::Zeros(count) => all.resize(all.len() + count, 0),
                Piece::Data => all.extend_from_slice(&buffer),
            }
            kinds.push(piece);
        }
        (all, kinds)
    }

    #[test]
    fn zeros_are_told_from_data_at_every_length() {
        for length in 0..70 {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in 0..length {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{at} of {length}");
                bytes[at] = 0;
            }
        }
    }

    #[test]
    fn zeros_are_not_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = File::from_parts(file.reopen().unwrap(), file.path());
        let mut bytes = vec![0; 8 << 20];
        bytes[5 << 20] = 7;
        file.as_file().set_len(16 << 20).unwrap();
        write_at(&out, 1 << 20, &bytes).unwrap();
        assert_eq!(fs_err::read(file.path()).unwrap()[6 << 20], 7);
        assert!(file.as_file().metadata().unwrap().blocks() * 512 <= 64 << 10);
    }

    #[test]
    fn a_hole_and_written_zeros_are_the_same() {
        let holes = tempfile::NamedTempFile::new().unwrap();
        holes.as_file().set_len(3 << 20).unwrap();
        let zeros = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(zeros.path(), vec![0; 3 << 20]).unwrap();
        assert_eq!(pieces(holes.path(), 1 << 20), pieces(zeros.path(), 1 << 20));
        assert_eq!(sha256(holes.path()).unwrap(), sha256(zeros.path()).unwrap());
        assert_eq!(sha256(holes.path()).unwrap(), hex::encode(Sha256::digest(vec![0; 3 << 20])));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_is_written_is_read(
            runs in proptest::collection::vec((any::<bool>(), 1usize..20_000), 0..12),
            length in 1usize..30_000,
            offset in 0u64..10_000,
        ) {
            let mut bytes = Vec::new();
            for (data, count) in runs {
                bytes.resize(bytes.len() + count, if data { 0x5a } else { 0 });
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(offset + bytes.len() as u64).unwrap();
            let out = File::from_parts(file.reopen().unwrap(), file.path());
            write_at(&out, offset, &bytes).unwrap();
            let mut whole = vec![0; offset as usize];
            whole.extend_from_slice(&bytes);
            let (read, kinds) = pieces(file.path(), length);
            prop_assert!(read == whole);
            for (kind, piece) in kinds.iter().zip(whole.chunks(length)) {
                prop_assert_eq!(matches!(kind, Piece::Zeros(_)), is_zero(piece));
            }
            prop_assert_eq!(sha256(file.path()).unwrap(), hex::encode(Sha256::digest(&whole)));
        }
    }
}
