//! One cluster's content, compressed and unpacked.

use super::CLUSTER;
use crate::error::{Context, Error, Result};
use std::io::Read;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Method, Status, Strategy};

/// What the bytes that [`compress`] makes depend on. Other bytes need another text here, so that no file mixes
/// them; the tests know both.
pub const COMPRESSOR: &str = "zlib-rs 0.6.8, level 6, window 12, memory 8, spread 1000";

/// Raw deflate with a window of 4 KiB is what QEMU writes, and what its reader provides for
/// (block/qcow2-threads.c). Level 6 of zlib-rs takes half the time of stock zlib's for 1 % more bytes; level 9
/// takes twice the time and saves that 1 %.
const DEFLATE: DeflateConfig = DeflateConfig {
    level: 6,
    method: Method::Deflated,
    window_bits: -12,
    mem_level: 8,
    strategy: Strategy::Default,
};
/// Bytes at a cluster's start that tell whether it is worth looking at all of it for [`is_random`].
const SAMPLE: usize = 4096;
/// Chi-squared of byte values spread as evenly as by chance is 255 ± 23. At 1000 in a cluster of 64 KiB, coding
/// frequent values shorter would save 0.1 %.
const SPREAD: u64 = 1000;
/// Readers allow for the largest window that deflate has.
const INFLATE_WINDOW_BITS: u8 = 15;
/// The largest window that a zstd frame may ask memory for, in bits: four times the largest cluster.
const ZSTD_WINDOW_BITS: u32 = 23;

/// How an image's compressed clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Raw deflate (RFC 1951).
    Zlib,
    /// A zstd frame (RFC 8878).
    Zstd,
}

/// The content compressed, or nothing when that does not make it smaller, or not worth mentioning.
///
/// The compressor starts anew for every cluster, from memory that it clears itself: nothing of one cluster, or
/// of the thread it ran on, gets into the bytes of another.
pub fn compress(content: &[u8]) -> Result<Option<Vec<u8>>> {
    if is_random(content) {
        return Ok(None);
    }
    let mut out = vec![0; CLUSTER - 1];
    let mut deflate = Deflate::new_with_config(DEFLATE);
    let status = deflate
        .compress(content, &mut out, DeflateFlush::Finish)
        .map_err(|error| Error::new("cannot compress a cluster").because(error.as_str()))?;
    if status != Status::StreamEnd {
        return Ok(None);
    }
    out.truncate(deflate.total_out() as usize);
    Ok(Some(out))
}

/// Whether all byte values are about equally frequent: content compressed already, a fifth of a system's disk,
/// on which deflate would only lose time, as would the machine that reads it. What repeats within a cluster makes
/// frequencies differ too.
fn is_random(content: &[u8]) -> bool {
    chi_squared(&content[..content.len().min(SAMPLE)]) < SPREAD && chi_squared(content) < SPREAD
}

/// Pearson's chi-squared of the byte values against all of them being equally frequent.
fn chi_squared(bytes: &[u8]) -> u64 {
    // Four counts in turn, so that the same value twice does not wait for itself.
    let mut counts = [[0u32; 256]; 4];
    let (quads, rest) = bytes.as_chunks::<4>();
    for quad in quads {
        for (count, &byte) in counts.iter_mut().zip(quad) {
            count[usize::from(byte)] += 1;
        }
    }
    for &byte in rest {
        counts[0][usize::from(byte)] += 1;
    }
    let total = |value: usize| counts.iter().map(|count| u64::from(count[value])).sum::<u64>();
    // The sum of (n - N/256)² / (N/256), without fractions.
    let squares: u64 = (0..256).map(|value| total(value) * total(value)).sum();
    (squares * 256 / bytes.len().max(1) as u64).saturating_sub(bytes.len() as u64)
}

/// Unpacks compressed data until `content` is full. What follows in `stored` is not looked at: its length is
/// known in sectors only.
pub fn unpack(compression: Compression, stored: &[u8], content: &mut [u8]) -> Result<()> {
    match compression {
        Compression::Zlib => {
            let mut inflate = Inflate::new(false, INFLATE_WINDOW_BITS);
            inflate
                .decompress(stored, content, InflateFlush::Finish)
                .map_err(|error| Error::new("it is no deflate stream").because(error.as_str()))?;
            if inflate.total_out() != content.len() as u64 {
                return Err(Error::new("the deflate stream is too short"));
            }
        }
        Compression::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(stored).doing("preparing zstd")?.single_frame();
            decoder.window_log_max(ZSTD_WINDOW_BITS)?;
            decoder.read_exact(content).doing("it is no zstd frame of a cluster")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, always the same (xorshift64).
    fn numbers() -> impl FnMut() -> u64 {
        let mut state = 88_172_645_463_325_252;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    /// Text-like and binary-like content, one value only, and text with a random stretch.
    fn samples() -> Vec<Vec<u8>> {
        let mut random = numbers();
        let words: Vec<Vec<u8>> = (0..200)
            .map(|_| random().to_string().into_bytes()[..3 + random() as usize % 9].to_vec())
            .collect();
        let mut text = Vec::new();
        while text.len() < CLUSTER {
            text.extend_from_slice(&words[(random() % 200) as usize]);
            text.push(b' ');
        }
        text.truncate(CLUSTER);
        let binary =
            (0..CLUSTER as u64).map(|at| if at % 8 < 5 { 0 } else { (random() >> 58) as u8 }).collect();
        let same = vec![7; CLUSTER];
        let mut half = text.clone();
        half[20_000..50_000].fill_with(|| random() as u8);
        vec![text, binary, same, half]
    }

    #[test]
    fn the_compressor_gives_the_bytes_it_is_known_for() {
        let mut hash = blake3::Hasher::new();
        for sample in samples() {
            hash.update(&compress(&sample).unwrap().unwrap());
        }
        assert_eq!(
            (COMPRESSOR, hash.finalize().to_hex().as_str()),
            (
                "zlib-rs 0.6.8, level 6, window 12, memory 8, spread 1000",
                "f4ebab7a8916b1f441df6596282112537405378d55f9d835effd97aba08bb738"
            ),
            "other bytes need another COMPRESSOR"
        );
    }

    #[test]
    fn the_compressor_is_the_one_that_is_named() {
        let manifest: toml::Table = toml::from_str(include_str!("../../../../Cargo.toml")).unwrap();
        let zlib = &manifest["dependencies"]["zlib-rs"]["version"];
        let version = zlib.as_str().unwrap().strip_prefix('=').expect("one exact version");
        assert!(COMPRESSOR.starts_with(&format!("zlib-rs {version},")));
    }

    #[test]
    fn what_is_compressed_comes_back_whatever_follows() {
        for sample in samples() {
            let mut stored = compress(&sample).unwrap().unwrap();
            assert!(stored.len() < CLUSTER);
            stored.extend_from_slice(&[0xa5; 511]);
            let mut content = vec![0; CLUSTER];
            unpack(Compression::Zlib, &stored, &mut content).unwrap();
            assert!(content == sample);
        }
    }

    #[test]
    fn distances_stay_within_the_window() {
        // The second half repeats the first, further back than 4 KiB: a larger window would halve it.
        let mut content: Vec<u8> = samples()[1][..CLUSTER / 2].to_vec();
        let half = compress(&content).unwrap().unwrap().len();
        content.extend_from_within(..);
        assert!(compress(&content).unwrap().unwrap().len() > half * 19 / 10);
    }

    #[test]
    fn what_does_not_become_smaller_is_told() {
        let mut random = numbers();
        let content: Vec<u8> = (0..CLUSTER).map(|_| random() as u8).collect();
        assert!(is_random(&content));
        assert_eq!(compress(&content).unwrap(), None);
        // Nearly random: worth trying.
        let values: Vec<u8> = content.iter().map(|&byte| if byte < 8 { byte + 100 } else { byte }).collect();
        assert!(!is_random(&values) && compress(&values).unwrap().unwrap().len() > CLUSTER * 99 / 100);
    }

    #[test]
    fn what_repeats_is_not_random() {
        let mut random = numbers();
        let mut content: Vec<u8> = (0..2048).map(|_| random() as u8).collect();
        while content.len() < CLUSTER {
            content.extend_from_within(..2048);
        }
        assert!(!is_random(&content));
        assert!(compress(&content).unwrap().unwrap().len() < CLUSTER / 5);
        assert_eq!(chi_squared(&(0..=255).collect::<Vec<u8>>().repeat(3)), 0);
        assert_eq!(chi_squared(&[5; 256]), 255 * 256);
        assert_eq!(chi_squared(&[]), 0);
    }

    #[test]
    fn zstd_is_unpacked_and_both_refuse_what_is_cut() {
        let sample = &samples()[0];
        let frame = zstd::encode_all(&sample[..], 3).unwrap();
        let deflated = compress(sample).unwrap().unwrap();
        let mut content = vec![0; CLUSTER];
        for (compression, stored) in [(Compression::Zstd, frame), (Compression::Zlib, deflated)] {
            content.fill(0);
            let followed = [&stored[..], &[9; 100]].concat();
            unpack(compression, &followed, &mut content).unwrap();
            assert!(&content == sample);
            for cut in [0, 1, 10, stored.len() / 2, stored.len() - 10] {
                unpack(compression, &stored[..cut], &mut content).unwrap_err();
            }
        }
    }
}
