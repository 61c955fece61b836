//! Looking into compressed contents and cpio archives that differ.

use super::cpio::{self, Member};
use super::report::{Change, Inside, MemberChange, What};
use super::source::{Source, Stream, fill};
use super::text::printable;
use crate::error::Result;
use crate::interrupt;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

/// A way of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstandard,
    /// The .xz file format 1.2.
    Xz,
}

impl Format {
    /// The format of content that begins with these bytes.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstandard),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstandard => "zstd",
            Self::Xz => "xz",
        }
    }

    /// What the first compressed stream unpacks to; it takes no byte behind its end.
    pub fn first_stream<'a>(self, stream: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(stream)),
            Self::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?.single_frame()),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new(stream)),
        })
    }

    fn unpack<'a>(self, stream: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
            Self::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(stream)),
        })
    }
}

/// What differs inside of two contents, when both are compressed in the same way or are cpio archives.
pub fn look(a: &Source, b: &Source) -> Result<Option<Inside>> {
    let head = |source: &Source| source.bytes(0..source.size().min(6), 6);
    let (head_a, head_b) = (head(a)?, head(b)?);
    if cpio::is_archive(&head_a) && cpio::is_archive(&head_b) {
        return archives(a, b, "cpio").map(Some);
    }
    let Some(format) = Format::of(&head_a).filter(|&format| Format::of(&head_b) == Some(format)) else {
        return Ok(None);
    };
    let unpacked = |source: &Source| format.unpack(BufReader::with_capacity(1 << 16, Stream::new(source)));
    let begins_as_archive = |source: &Source| {
        let mut head = [0; 6];
        let read = unpacked(source).is_ok_and(|mut stream| fill(&mut stream, &mut head).is_ok());
        read && cpio::is_archive(&head)
    };
    if begins_as_archive(a) && begins_as_archive(b) {
        return archives(a, b, "cpio").map(Some);
    }
    let first = unpacked(a).and_then(|a| first_difference(a, unpacked(b)?));
    // Above all a signal ends the run.
    interrupt::check()?;
    let (first_difference, note) = match first {
        Ok(first) => (first, None),
        Err(error) => (None, Some(format!("it cannot be unpacked: {error}"))),
    };
    Ok(Some(Inside { format: format.name().into(), first_difference, members: Vec::new(), note }))
}

fn first_difference(mut a: impl Read, mut b: impl Read) -> Result<Option<u64>> {
    let (mut buffer_a, mut buffer_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut position = 0;
    loop {
        interrupt::check()?;
        let (length_a, length_b) = (fill(&mut a, &mut buffer_a)?, fill(&mut b, &mut buffer_b)?);
        let both = length_a.min(length_b);
        if let Some(at) = super::raw::mismatch(&buffer_a[..both], &buffer_b[..both]) {
            return Ok(Some(position + at as u64));
        }
        position += both as u64;
        if length_a != length_b {
            return Ok(Some(position));
        }
        if both == 0 {
            return Ok(None);
        }
    }
}

fn archives(a: &Source, b: &Source, format: &str) -> Result<Inside> {
    let (a, b) = rayon::join(|| cpio::members(Stream::new(a)), || cpio::members(Stream::new(b)));
    // That a signal ended it is no property of an archive.
    interrupt::check()?;
    let (members, note) = match (a, b) {
        (Ok(a), Ok(b)) => {
            let changes = member_changes(&a, &b);
            let order =
                |members: &[Member]| members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
            let note = match changes.is_empty() {
                true if order(&a) == order(&b) => {
                    Some("all members are the same; padding or compression differs")
                }
                true => Some("all members are the same, in another order"),
                false => None,
            };
            (changes, note.map(str::to_owned))
        }
        (Err(error), _) => (Vec::new(), Some(format!("the first cannot be listed: {error}"))),
        (_, Err(error)) => (Vec::new(), Some(format!("the second cannot be listed: {error}"))),
    };
    Ok(Inside { format: format.into(), first_difference: None, members, note })
}

fn member_changes(a: &[Member], b: &[Member]) -> Vec<MemberChange> {
    // Several archives may have members of one name: the first is compared with the first, and so on.
    fn keyed(members: &[Member]) -> BTreeMap<(&[u8], usize), &Member> {
        let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
        let keyed = members.iter().map(|member| {
            let count = seen.entry(&member.name).or_default();
            *count += 1;
            ((&member.name[..], *count), member)
        });
        keyed.collect()
    }
    let (a, b) = (keyed(a), keyed(b));
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let changes = keys.into_iter().filter_map(|key| {
        let (change, changes) = match (a.get(key), b.get(key)) {
            (None, _) => (What::Added, Vec::new()),
            (_, None) => (What::Removed, Vec::new()),
            (Some(a), Some(b)) => (What::Changed, fields(a, b)),
        };
        let same = change == What::Changed && changes.is_empty();
        (!same).then(|| MemberChange { name: printable(key.0), change, changes })
    });
    changes.collect()
}

fn fields(a: &Member, b: &Member) -> Vec<Change> {
    let mut changes = Vec::new();
    for (field, name) in cpio::FIELDS.iter().enumerate() {
        if a.numbers[field] != b.numbers[field] {
            let text = |member: &Member| match field {
                cpio::MODE => format!("{:06o}", member.numbers[field]),
                _ if *name == "modification time" => super::text::time((member.numbers[field].into(), 0)),
                _ => member.numbers[field].to_string(),
            };
            changes.push(Change::new(*name, text(a), text(b)));
        }
    }
    if a.target != b.target {
        changes.push(Change::new("link target", printable(&a.target), printable(&b.target)));
    } else if a.sha256 != b.sha256 {
        let text = |member: &Member| format!("sha256 {}", hex::encode(member.sha256));
        changes.push(Change::new("content", text(a), text(b)));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::cpio::tests::archive;
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    fn gzip(bytes: &[u8], time: u32) -> Vec<u8> {
        let mut encoder = flate2::GzBuilder::new().mtime(time).write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inside(a: &[u8], b: &[u8]) -> Option<Inside> {
        let (a, b): (Source, Source) = (Arc::new(a.to_vec()), Arc::new(b.to_vec()));
        look(&a, &b).unwrap()
    }

    #[test]
    fn compressed_contents_are_compared_unpacked() {
        let found = inside(&gzip(b"hello world", 1), &gzip(b"hello World", 1)).unwrap();
        assert_eq!((found.format.as_str(), found.first_difference), ("gzip", Some(6)));
        assert_eq!(inside(&gzip(b"hello", 1), &gzip(b"hello world", 1)).unwrap().first_difference, Some(5));
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        assert_eq!(inside(&zstd(b"abc"), &zstd(b"abd")).unwrap().first_difference, Some(2));
        let xz = |bytes: &[u8]| {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(inside(&xz(b"abc"), &xz(b"abd")).unwrap().first_difference, Some(2));
        assert_eq!(inside(&zstd(b"abc"), &gzip(b"abc", 1)), None);
        assert_eq!(inside(b"abc", b"abd"), None);
    }

    #[test]
    fn a_difference_of_the_header_only_is_told_as_that() {
        let found = inside(&gzip(b"hello", 1), &gzip(b"hello", 2)).unwrap();
        assert_eq!((found.first_difference, found.note), (None, None));
        let mut cut = gzip(b"hello", 1);
        cut.truncate(12);
        assert!(inside(&cut, &gzip(b"hello", 1)).unwrap().note.unwrap().contains("unpacked"));
    }

    #[test]
    fn members_that_differ_are_named() {
        let a = archive(&[("init", 0o100755, b"one"), ("gone", 0o100644, b""), ("link", 0o120777, b"x")]);
        let b = archive(&[("init", 0o100700, b"two"), ("new", 0o100644, b""), ("link", 0o120777, b"y")]);
        for (a, b) in [(a.clone(), b.clone()), (gzip(&a, 1), gzip(&b, 1))] {
            let found = inside(&a, &b).unwrap();
            let told: Vec<_> = found
                .members
                .iter()
                .map(|member| {
                    let what: Vec<_> = member.changes.iter().map(|change| change.what.as_str()).collect();
                    (member.name.as_str(), member.change, what)
                })
                .collect();
            assert_eq!(
                told,
                [
                    ("gone", What::Removed, vec![]),
                    ("init", What::Changed, vec!["mode", "content"]),
                    ("link", What::Changed, vec!["link target"]),
                    ("new", What::Added, vec![]),
                ]
            );
        }
        assert_eq!(
            inside(&gzip(&a, 1), &gzip(&a, 2)).unwrap().note.unwrap(),
            "all members are the same; padding or compression differs"
        );
        let other = archive(&[("gone", 0o100644, b""), ("init", 0o100755, b"one"), ("link", 0o120777, b"x")]);
        assert!(inside(&a, &other).unwrap().note.unwrap().contains("another order"));
        assert!(inside(&a, b"070701").unwrap().note.unwrap().starts_with("the second cannot be listed"));
    }
}
