//! gzip on all cores, as one member that every reader takes.
//!
//! The input is cut into chunks of a fixed length. Each is compressed on its own and ended at a byte boundary
//! (an empty stored block, as a "sync flush" leaves), so that the pieces joined are one deflate stream
//! (RFC 1951) and the file is one gzip member (RFC 1952). Nothing depends on the number of cores.

use crate::disk::sparse::is_zero;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;
use std::io::{Error, Result, Write};

/// Bytes of input compressed as one.
const CHUNK: usize = 1 << 20;
/// No name, no time, unknown system: nothing of the machine that wrote it.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A writer that compresses what is written to it.
pub struct Gzip<W: Write> {
    out: W,
    /// Input not yet compressed, less than `batch` bytes.
    input: Vec<u8>,
    /// Bytes of input collected before all cores set to work on them.
    batch: usize,
    checksum: Crc,
    started: bool,
    /// A whole chunk of zeros: most of a disk image.
    zeros: Option<(Vec<u8>, Crc)>,
}

impl<W: Write> Gzip<W> {
    /// Writes the file to `out`.
    pub fn new(out: W) -> Self {
        let batch = rayon::current_num_threads().clamp(1, 16) * 2 * CHUNK;
        Self { out, input: Vec::new(), batch, checksum: Crc::new(), started: false, zeros: None }
    }

    /// Ends the stream and gives back what it was written to.
    pub fn finish(mut self) -> Result<W> {
        self.compress()?;
        self.start()?;
        let end = deflate(&[], FlushCompress::Finish)?;
        self.out.write_all(&end)?;
        self.out.write_all(&self.checksum.sum().to_le_bytes())?;
        // The length modulo 2^32.
        self.out.write_all(&self.checksum.amount().to_le_bytes())?;
        Ok(self.out)
    }

    fn start(&mut self) -> Result<()> {
        if !self.started {
            self.started = true;
            self.out.write_all(&HEADER)?;
        }
        Ok(())
    }

    fn compress(&mut self) -> Result<()> {
        self.start()?;
        if self.zeros.is_none() && self.input.chunks_exact(CHUNK).any(is_zero) {
            self.zeros = Some(chunk(&vec![0; CHUNK])?);
        }
        let zeros = self.zeros.as_ref();
        let done: Vec<(Vec<u8>, Crc)> = self
            .input
            .par_chunks(CHUNK)
            .map(|bytes| match zeros {
                Some((compressed, checksum)) if bytes.len() == CHUNK && is_zero(bytes) => {
                    let mut copy = Crc::new();
                    copy.combine(checksum);
                    Ok((compressed.clone(), copy))
                }
                _ => chunk(bytes),
            })
            .collect::<Result<_>>()?;
        for (compressed, checksum) in done {
            self.out.write_all(&compressed)?;
            self.checksum.combine(&checksum);
        }
        self.input.clear();
        Ok(())
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let length = bytes.len().min(self.batch - self.input.len());
        self.input.extend_from_slice(&bytes[..length]);
        if self.input.len() == self.batch {
            self.compress()?;
        }
        Ok(length)
    }

    /// Does nothing: a chunk cut short would change the bytes.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn chunk(bytes: &[u8]) -> Result<(Vec<u8>, Crc)> {
    let mut checksum = Crc::new();
    checksum.update(bytes);
    Ok((deflate(bytes, FlushCompress::Sync)?, checksum))
}

fn deflate(bytes: &[u8], flush: FlushCompress) -> Result<Vec<u8>> {
    let mut deflate = Compress::new(Compression::default(), false);
    // Room for the worst case, and for the end that a flush writes.
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 1000 + 256);
    let status = deflate.compress_vec(bytes, &mut out, flush).map_err(Error::other)?;
    let complete = match flush {
        FlushCompress::Finish => status == Status::StreamEnd,
        _ => out.len() < out.capacity(),
    };
    if deflate.total_in() != bytes.len() as u64 || !complete {
        return Err(Error::other("deflate did not take all of its input"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn compressed(content: &[u8], step: usize, batch: usize) -> Vec<u8> {
        let mut gzip = Gzip::new(Vec::new());
        gzip.batch = batch * CHUNK;
        for piece in content.chunks(step) {
            gzip.write_all(piece).unwrap();
            gzip.flush().unwrap();
        }
        gzip.finish().unwrap()
    }

    /// Only the first member is read: a reader that stops there must get everything.
    fn first_member(bytes: &[u8]) -> Vec<u8> {
        let mut decoder = flate2::read::GzDecoder::new(bytes);
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn the_bytes_do_not_depend_on_cores_or_on_how_they_came() {
        let content: Vec<u8> = (0..5 * CHUNK + 12_345).map(|at| (at / 7 % 251) as u8).collect();
        let one = compressed(&content, CHUNK, 1);
        assert!(one == compressed(&content, 99_999, 8));
        assert!(first_member(&one) == content);
    }

    #[test]
    fn nothing_is_a_valid_file_too() {
        assert_eq!(first_member(&compressed(&[], 1, 2)), b"");
    }

    #[test]
    fn incompressible_chunks_fit() {
        let mut state = 1u64;
        let content: Vec<u8> = (0..CHUNK + 1)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        assert!(first_member(&compressed(&content, CHUNK, 2)) == content);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn zeros_and_data_come_back(runs in proptest::collection::vec((any::<u8>(), 0usize..2_500_000), 0..5)) {
            let mut content = Vec::new();
            for (byte, count) in runs {
                content.resize(content.len() + count, if byte < 128 { 0 } else { byte });
            }
            prop_assert!(first_member(&compressed(&content, 500_000, 2)) == content);
        }
    }
}
