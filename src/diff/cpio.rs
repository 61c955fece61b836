//! The members of an initramfs: cpio archives in the "newc" format, one behind the other, the last of them often
//! compressed (Linux, Documentation/driver-api/early-userspace/buffer-format.rst; cpio(5)).

use super::inside::Format;
use crate::error::{Context, Error, Result};
use crate::interrupt;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Cursor, Read};

/// Bytes of a member's header: a magic number and thirteen numbers of eight hexadecimal digits.
const HEADER: usize = 110;
/// Bytes of the magic number.
const MAGIC: usize = 6;
/// The longest name that the kernel takes (PATH_MAX).
const NAME_LIMIT: u32 = 4096;
/// More members than any initramfs has.
const MEMBERS: usize = 1_000_000;
/// More unpacked bytes than any initramfs has.
const TOTAL: u64 = 16 << 30;
/// More bytes of names and targets than any initramfs has.
const KEPT: usize = 64 << 20;
/// Name of the member that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";
/// A symbolic link's target is kept up to this length.
const TARGET: usize = 4096;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Vec<u8>,
    /// The numbers of its header, in [`FIELDS`]' order.
    pub numbers: [u32; 13],
    /// sha256 of its content.
    pub sha256: [u8; 32],
    /// Where it leads, if it is a symbolic link.
    pub target: Vec<u8>,
}

/// What the numbers of a header are.
pub const FIELDS: [&str; 13] = [
    "inode",
    "mode",
    "owner",
    "group",
    "links",
    "modification time",
    "size",
    "device major",
    "device minor",
    "special device major",
    "special device minor",
    "name length",
    "check",
];
/// Indexes of some of them.
pub const MODE: usize = 1;
/// See [`MODE`].
pub const SIZE: usize = 6;
const NAME_LENGTH: usize = 11;

/// Whether content begins as an archive of this format does.
pub fn is_archive(head: &[u8]) -> bool {
    head.starts_with(b"070701") || head.starts_with(b"070702")
}

/// Every member of every archive in the stream, in order; trailers are left out.
pub fn members(stream: impl Read) -> Result<Vec<Member>> {
    let mut list = List { members: Vec::new(), total: 0, kept: 0 };
    list.archives(&mut BufReader::with_capacity(1 << 16, stream), true)?;
    Ok(list.members)
}

struct List {
    members: Vec<Member>,
    total: u64,
    /// Bytes of names and targets.
    kept: usize,
}

impl List {
    /// Archives up to the end of the stream, zeros between them; compressed ones at the first level only.
    fn archives(&mut self, stream: &mut dyn BufRead, outermost: bool) -> Result<()> {
        let mut position = 0;
        loop {
            interrupt::check()?;
            position += skip_zeros(stream)?;
            let mut head = vec![0; MAGIC];
            let length = super::source::fill(stream, &mut head)?;
            head.truncate(length);
            if head.is_empty() {
                return Ok(());
            }
            if is_archive(&head) {
                position += MAGIC as u64;
                self.member(stream, &mut position)?;
                continue;
            }
            let format = Format::of(&head).filter(|_| outermost);
            let Some(format) = format else {
                return Err(Error::new(format!("there is no cpio archive at offset {position}")));
            };
            let mut compressed = Cursor::new(head).chain(&mut *stream);
            let unpacked = format.first_stream(&mut compressed)?;
            self.archives(&mut BufReader::with_capacity(1 << 16, unpacked), false)
                .doing_with(|| format!("unpacking the {} stream at offset {position}", format.name()))?;
            // Only zeros may follow; where the stream ended is not counted.
            position = 0;
        }
    }

    /// One member behind its magic number. Names and contents are padded to four bytes.
    fn member(&mut self, stream: &mut dyn BufRead, position: &mut u64) -> Result<()> {
        let start = *position;
        let damaged = || Error::new(format!("the cpio archive is damaged near offset {start}"));
        let mut digits = [0; HEADER - MAGIC];
        stream.read_exact(&mut digits).map_err(|_| damaged())?;
        let mut numbers = [0; 13];
        for (number, digits) in numbers.iter_mut().zip(digits.chunks_exact(8)) {
            let text =
                std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|c| c.is_ascii_hexdigit()));
            *number = text.and_then(|text| u32::from_str_radix(text, 16).ok()).ok_or_else(damaged)?;
        }
        let length = numbers[NAME_LENGTH];
        if length == 0 || length > NAME_LIMIT || self.members.len() >= MEMBERS {
            return Err(damaged());
        }
        let mut name = vec![0; length as usize];
        stream.read_exact(&mut name).map_err(|_| damaged())?;
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
        let padding = padding(HEADER as u64 + u64::from(length));
        skip(stream, padding).map_err(|_| damaged())?;

        let size = u64::from(numbers[SIZE]);
        self.total += size;
        if self.total > TOTAL {
            return Err(Error::new("the cpio archive has no end"));
        }
        let (mut hash, mut target, mut left) = (Sha256::new(), Vec::new(), size);
        let link = numbers[MODE] & 0xf000 == 0xa000;
        while left > 0 {
            interrupt::check()?;
            let bytes = stream.fill_buf().map_err(|_| damaged())?;
            let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if length == 0 {
                return Err(damaged());
            }
            hash.update(&bytes[..length]);
            if link && target.len() < TARGET {
                target.extend(&bytes[..length.min(TARGET)]);
            }
            stream.consume(length);
            left -= length as u64;
        }
        self.kept += length as usize + target.len();
        if self.kept > KEPT {
            return Err(Error::new("the cpio archive has no end"));
        }
        // The last padding may be cut off.
        skip(stream, self::padding(size)).ok();
        *position += (HEADER - MAGIC) as u64 + u64::from(length) + padding + size + self::padding(size);
        if name != TRAILER {
            self.members.push(Member { name, numbers, sha256: hash.finalize().into(), target });
        }
        Ok(())
    }
}

fn padding(length: u64) -> u64 {
    length.next_multiple_of(4) - length
}

fn skip(stream: &mut dyn BufRead, count: u64) -> std::io::Result<()> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes[..count as usize & 3])
}

fn skip_zeros(stream: &mut dyn BufRead) -> Result<u64> {
    let mut skipped = 0;
    loop {
        let bytes = stream.fill_buf()?;
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let all = zeros == bytes.len();
        let end = bytes.is_empty();
        stream.consume(zeros);
        skipped += zeros as u64;
        if end || !all {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    /// An archive of these members, with its trailer.
    pub fn archive(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, mode, content) in members.iter().chain([&("TRAILER!!!", 0, &b""[..])]) {
            bytes.extend(b"070701");
            for number in [1, *mode, 0, 0, 1, 7, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0] {
                bytes.extend(format!("{number:08X}").bytes());
            }
            bytes.extend(name.bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let members = members(bytes).unwrap();
        members.iter().map(|member| String::from_utf8(member.name.clone()).unwrap()).collect()
    }

    #[test]
    fn archives_follow_one_another_and_the_last_is_compressed() {
        let first = archive(&[("kernel/x86/microcode", 0o100644, b"code")]);
        let second = archive(&[("init", 0o100755, b"#!/bin/sh"), ("bin", 0o120777, b"usr/bin")]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&second).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&second).unwrap();
        let zstd = zstd::encode_all(&second[..], 3).unwrap();
        for tail in [second.clone(), gzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
            let whole = [first.clone(), vec![0; 512], tail, vec![0; 4]].concat();
            assert_eq!(names(&whole), ["kernel/x86/microcode", "init", "bin"]);
        }
        let members = members(&second[..]).unwrap();
        assert_eq!(members[1].target, b"usr/bin");
        assert_eq!(members[0].sha256, <[u8; 32]>::from(Sha256::digest(b"#!/bin/sh")));
        assert_eq!(members[0].numbers[5], 7);
    }

    #[test]
    fn the_host_s_cpio_writes_the_same_format() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("file"), "content").unwrap();
        std::os::unix::fs::symlink("file", directory.path().join("link")).unwrap();
        let made = duct::cmd!("cpio", "--quiet", "-o", "-H", "newc")
            .dir(directory.path())
            .stdin_bytes("file\nlink\n")
            .stdout_capture()
            .run();
        let Ok(made) = made else { return };
        assert_eq!(names(&made.stdout), ["file", "link"]);
        assert_eq!(members(&made.stdout[..]).unwrap()[1].target, b"file");
    }

    #[test]
    fn names_without_end_are_refused() {
        let one = archive(&[("n".repeat(4000).as_str(), 0o100644, b"")]);
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        for _ in 0..KEPT / 4000 + 1 {
            encoder.write_all(&one).unwrap();
        }
        let error = members(&encoder.finish().unwrap()[..]).unwrap_err();
        assert!(error.to_string().contains("no end"), "{error}");
    }

    #[test]
    fn damage_is_told() {
        let whole = archive(&[("init", 0o100755, b"0123456789")]);
        assert!(members(&whole[..50]).is_err());
        assert!(members(&whole[..116 + 5]).is_err(), "content is cut off");
        for (at, with) in [(20, b"XXXXXXXX"), (6 + 88, b"00000000"), (6 + 88, b"FFFFFFFF"), (6, b"+0000001")]
        {
            let mut bytes = whole.clone();
            bytes[at..at + 8].copy_from_slice(with);
            assert!(members(&bytes[..]).is_err(), "{at}");
        }
        let error = members(&[whole, b"garbage".to_vec()].concat()[..]).unwrap_err();
        assert!(error.to_string().contains("no cpio archive at offset"), "{error}");
        assert!(
            members(&zstd::encode_all(&zstd::encode_all(&b"070701"[..], 1).unwrap()[..], 1).unwrap()[..])
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_listed(
            files in proptest::collection::vec(("[a-z/]{1,40}", proptest::collection::vec(any::<u8>(), 0..50)), 0..10),
        ) {
            let list: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), 0o100644, &content[..])).collect();
            let found = members(&archive(&list)[..]).unwrap();
            prop_assert_eq!(found.len(), files.len());
            for (member, (name, content)) in found.iter().zip(&files) {
                prop_assert_eq!(&member.name, name.as_bytes());
                prop_assert_eq!(member.sha256, <[u8; 32]>::from(Sha256::digest(content)));
            }
        }

        #[test]
        fn no_bytes_break_it(
            at in 0usize..300,
            with in proptest::collection::vec(any::<u8>(), 0..40),
            cut in 0usize..400,
        ) {
            let mut bytes = archive(&[("init", 0o100755, b"0123456789"), ("x", 0o120777, b"init")]);
            for (place, byte) in bytes.iter_mut().skip(at).zip(&with) {
                *place = *byte;
            }
            bytes.truncate(cut);
            let _ = members(&bytes[..]);
            let _ = members(&with[..]);
        }
    }
}
