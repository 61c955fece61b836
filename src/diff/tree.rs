//! A tree of files as it is compared, whatever filesystem or archive it was read from.

use super::source::{ReadAt, Source};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// More entries than any server has: what claims them is damaged.
pub const LIMIT: usize = 5_000_000;
/// More bytes than all their paths have: directories in one another without end.
const PATHS: usize = 1 << 29;

/// How many faults of one filesystem or archive are told.
const TOLD: usize = 20;

/// Notes a fault, up to as many as somebody reads.
pub fn fault(faults: &mut Vec<String>, what: impl Into<String>) {
    match faults.len() {
        TOLD => faults.push("and more".into()),
        count if count < TOLD => faults.push(what.into()),
        _ => {}
    }
}

/// Everything in one filesystem or archive.
#[derive(Default, Clone)]
pub struct Tree {
    /// By absolute path, as bytes; the root directory is `/`.
    pub entries: BTreeMap<Vec<u8>, Entry>,
    /// Times are whole seconds, because what it was read from keeps no more.
    pub whole_seconds: bool,
    /// Bytes of the paths that were added.
    pub added: usize,
}

/// One file, directory, link or device.
#[derive(Clone)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permissions, setuid, setgid and sticky bit; FAT has none.
    pub mode: Option<u32>,
    /// Owner and group by number; FAT has none.
    pub owner: Option<(u32, u32)>,
    /// Bytes of a regular file's content.
    pub size: u64,
    /// Modification time: seconds and nanoseconds since 1970.
    pub modified: Option<(i64, u32)>,
    /// Extended attributes as getxattr(2) gives them.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Entries with one identity are hard links of one file; unique in the tree otherwise.
    pub identity: u64,
    /// The content of a regular file.
    pub body: Body,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it leads.
    Link(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device by major and minor number.
    Character(u32, u32),
    /// A block device by major and minor number.
    Block(u32, u32),
    /// None that is known; the type bits of its mode.
    Unknown(u32),
}

impl Kind {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link(_) => "symbolic link",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Character(..) => "character device",
            Self::Block(..) => "block device",
            Self::Unknown(_) => "entry of unknown kind",
        }
    }
}

/// The content of an entry.
#[derive(Clone)]
pub enum Body {
    /// It has none.
    None,
    /// It can be read.
    Stored(Content),
    /// It cannot, and why.
    Unreadable(String),
}

/// A part of a file that lies in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the file.
    pub at: u64,
    /// Offset in the source.
    pub from: u64,
    /// Bytes.
    pub length: u64,
}

/// The content of a file by where its pieces lie. What no piece covers is zeros.
#[derive(Clone)]
pub struct Content {
    source: Source,
    size: u64,
    pieces: Arc<[Piece]>,
}

impl Content {
    /// A file of `size` bytes. The pieces are sorted here; overlapping ones are an error.
    pub fn new(source: &Source, size: u64, mut pieces: Vec<Piece>) -> Result<Self> {
        pieces.sort_by_key(|piece| piece.at);
        let mut end = 0;
        for piece in &pieces {
            let (behind, from_end) =
                (piece.at.checked_add(piece.length), piece.from.checked_add(piece.length));
            if piece.at < end || from_end.is_none_or(|from_end| from_end > source.size()) {
                return Err(Error::new("its pieces lie over one another or beyond the end"));
            }
            end = behind.ok_or_else(|| Error::new("a piece has no end"))?;
        }
        Ok(Self { source: Arc::clone(source), size, pieces: pieces.into() })
    }
}

impl ReadAt for Content {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|&end| end <= self.size);
        let end = end.ok_or_else(|| Error::new("a file ends before what is read of it"))?;
        buffer.fill(0);
        let first = self.pieces.partition_point(|piece| piece.at + piece.length <= offset);
        for piece in self.pieces[first..].iter().take_while(|piece| piece.at < end) {
            let start = piece.at.max(offset);
            let stop = (piece.at + piece.length).min(end);
            let part = &mut buffer[(start - offset) as usize..(stop - offset) as usize];
            self.source.read_at(piece.from + (start - piece.at), part)?;
        }
        Ok(())
    }

    fn data_from(&self, offset: u64) -> Result<Range<u64>> {
        let next = self.pieces.partition_point(|piece| piece.at + piece.length <= offset);
        Ok(match self.pieces.get(next) {
            Some(piece) => piece.at..piece.at + piece.length,
            None => self.size..u64::MAX,
        })
    }
}

impl Tree {
    /// Adds what a reader found. False when the path is there already; it is then the last one's.
    pub fn add(&mut self, path: Vec<u8>, entry: Entry) -> Result<bool> {
        self.added += path.len();
        let new = self.entries.insert(path, entry).is_none();
        if self.entries.len() > LIMIT || self.added > PATHS {
            return Err(Error::new("its tree has no end"));
        }
        Ok(new)
    }

    /// The text of a file, when it is there and can be read; for the image's own lists, up to 64 MiB.
    pub fn text(&self, path: &str) -> Option<String> {
        let Body::Stored(content) = &self.entries.get(path.as_bytes())?.body else { return None };
        let bytes = content.bytes(0..content.size(), 64 << 20).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Shows another filesystem at a directory, as mounting it there does. `number` tells its files from those of others.
    pub fn mount(&mut self, at: &[u8], other: &Self, number: u32) {
        let at = at.strip_suffix(b"/").unwrap_or(at);
        self.entries.retain(|path, _| !is_below(path, at));
        for (path, entry) in &other.entries {
            let below = path.strip_prefix(b"/").unwrap_or(path);
            let path = if below.is_empty() { at.to_vec() } else { [at, b"/", below].concat() };
            let identity = entry.identity | u64::from(number) << 32;
            self.entries.insert(path, Entry { identity, ..entry.clone() });
        }
        self.whole_seconds |= other.whole_seconds;
    }

    /// The paths directly in a directory.
    pub fn children<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = &'a str> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let length = prefix.len();
        self.entries
            .range(prefix.clone().into_bytes()..)
            .map_while(move |(path, _)| path.starts_with(prefix.as_bytes()).then_some(path))
            .filter(move |path| path.len() > length && !path[length..].contains(&b'/'))
            .filter_map(|path| std::str::from_utf8(path).ok())
    }

    /// The names of every file that has more than one, by identity.
    pub fn linked(&self) -> BTreeMap<u64, Vec<&[u8]>> {
        let mut groups: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
        for (path, entry) in &self.entries {
            if entry.kind != Kind::Directory {
                groups.entry(entry.identity).or_default().push(path);
            }
        }
        groups.retain(|_, paths| paths.len() > 1);
        groups
    }
}

/// Whether `path` is `prefix` or lies below it.
pub fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Arc::new((0..=255).collect::<Vec<u8>>())
    }

    #[test]
    fn content_is_put_together_from_its_pieces() {
        let pieces = vec![Piece { at: 20, from: 100, length: 10 }, Piece { at: 0, from: 200, length: 5 }];
        let content = Content::new(&source(), 40, pieces).unwrap();
        let bytes = content.bytes(0..40, 40).unwrap();
        assert_eq!(bytes[..6], [200, 201, 202, 203, 204, 0]);
        assert_eq!(bytes[19..22], [0, 100, 101]);
        assert_eq!(bytes[29..], [109, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(content.bytes(22..24, 9).unwrap(), [102, 103]);
        assert!(content.bytes(0..41, 99).is_err());
        assert_eq!(content.data_from(5).unwrap(), 20..30);
        assert_eq!(content.data_from(30).unwrap().start, 40);
    }

    #[test]
    fn pieces_that_cannot_be_are_refused() {
        let refused = |pieces| Content::new(&source(), 40, pieces).is_err();
        let piece = |at, from, length| Piece { at, from, length };
        assert!(refused(vec![piece(0, 0, 10), piece(9, 50, 10)]));
        assert!(refused(vec![piece(0, 250, 10)]));
        assert!(refused(vec![piece(u64::MAX, 0, 10)]));
        assert!(refused(vec![piece(0, u64::MAX, 10)]));
    }

    #[test]
    fn directories_in_one_another_end() {
        let mut tree = Tree { added: PATHS - 4, ..Tree::default() };
        let mut add = |path: &[u8]| tree.add(path.to_vec(), crate::diff::testing::file(b""));
        assert!(add(b"/d").unwrap());
        assert!(!add(b"/d").unwrap());
        assert!(add(b"/d/d").is_err());
    }

    #[test]
    fn what_is_mounted_covers_the_mount_point() {
        use crate::diff::testing::tree;
        let mut whole = tree(&[("/var", "covered"), ("/var/old", "1"), ("/variable", "2")]);
        let mounted = tree(&[("/", "root"), ("/log/x", "3")]);
        whole.mount(b"/var", &mounted, 4);
        let paths: Vec<&[u8]> = whole.entries.keys().map(Vec::as_slice).collect();
        assert_eq!(paths, [&b"/var"[..], b"/var/log/x", b"/variable"]);
        assert_eq!(whole.text("/var").as_deref(), Some("root"));
        let identities: std::collections::BTreeSet<u64> =
            whole.entries.values().map(|entry| entry.identity >> 32).collect();
        assert_eq!(identities.into_iter().collect::<Vec<_>>(), [0, 4]);
    }

    #[test]
    fn below_is_by_whole_names() {
        for (path, prefix, below) in [
            ("/etc", "/etc", true),
            ("/etc/x", "/etc", true),
            ("/etc/x", "/etc/", true),
            ("/etcetera", "/etc", false),
            ("/x", "/", true),
            ("/", "/", true),
            ("/e", "/etc", false),
        ] {
            assert_eq!(is_below(path.as_bytes(), prefix.as_bytes()), below, "{path} {prefix}");
        }
    }
}
