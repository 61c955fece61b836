//! Compressed files: counted and hashed as they are written, the same bytes on any number of cores.

use super::create;
use super::gzip::Gzip;
use crate::error::Result;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;
use zstd::zstd_safe::CParameter;

/// Higher levels take much longer for a few percent: most of a system is compressed inside already.
const ZSTD_LEVEL: i32 = 9;
/// What one thread compresses at a time. The bytes depend on it (zstd.h, ZSTD_c_jobSize), so it is fixed and
/// not left to the library, and there is always at least one worker: without any, the bytes differ.
const ZSTD_JOB: u32 = 8 << 20;

/// Size and sha256 (hex) of a file.
pub type Written = (u64, String);

/// Writes a zstd file (RFC 8878) of what `content` writes; `size`, when known, goes into its header.
pub fn zstd(
    path: &Path,
    size: Option<u64>,
    content: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<Written> {
    let workers = rayon::current_num_threads().clamp(1, 64) as u32;
    let out = zstd_to(create(path)?, workers, size, content)?;
    out.finish()
}

fn zstd_to<W: Write>(
    out: W,
    workers: u32,
    size: Option<u64>,
    content: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<W> {
    let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
    encoder.set_parameter(CParameter::NbWorkers(workers))?;
    encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(size)?;
    content(&mut encoder)?;
    Ok(encoder.finish()?)
}

/// Writes a gzip file (RFC 1952) of what `content` writes.
pub fn gzip(path: &Path, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Written> {
    let mut encoder = Gzip::new(create(path)?);
    content(&mut encoder)?;
    encoder.finish()?.finish()
}

/// A writer that counts and hashes what passes.
pub struct Hashed<W> {
    out: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashed<W> {
    /// Passes everything on to `out`.
    pub fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), size: 0 }
    }

    /// What was written.
    pub fn finish(mut self) -> Result<Written> {
        self.out.flush()?;
        Ok((self.size, hex::encode(self.hash.finalize())))
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Vec<u8> {
        let mut state = 1u32;
        let mut bytes: Vec<u8> = (0..20 << 20)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 29) as u8
            })
            .collect();
        bytes[3 << 20..9 << 20].fill(0);
        bytes
    }

    fn compressed(workers: u32, step: usize, content: &[u8]) -> Vec<u8> {
        zstd_to(Vec::new(), workers, Some(content.len() as u64), |out| {
            for piece in content.chunks(step) {
                out.write_all(piece)?;
            }
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn zstd_is_the_same_on_any_number_of_cores() {
        let content = content();
        let one = compressed(1, 1 << 20, &content);
        assert!(one == compressed(2, 1 << 20, &content));
        assert!(one == compressed(5, 777_777, &content));
        assert!(zstd::decode_all(&one[..]).unwrap() == content);
    }

    #[test]
    fn what_is_written_is_counted_and_hashed() {
        let mut hashed = Hashed::new(Vec::new());
        hashed.write_all(b"abc").unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hashed.finish().unwrap(), (3, digest.to_owned()));
    }
}
