//! A tar archive as a tree, and what of two archives' bytes their trees do not explain (IEEE Std 1003.1, pax, "ustar
//! Interchange Format" and "pax Extended Header").

use super::findings::{Changed, Findings, count};
use super::le::{self, Field};
use super::raw;
use super::source::{ReadAt, Source, Stream, Window};
use super::text::printable;
use super::tree::{Body, Content, Entry, Kind, LIMIT, Piece, Tree, fault};
use crate::error::{Context, Error, Result};
use crate::interrupt;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use tar::{EntryType, GnuExtSparseHeader, GnuHeader, GnuSparseHeader};

/// Bytes of a header and of what everything is padded to.
const BLOCK: u64 = 512;

/// An archive that was read.
pub struct Archive {
    source: Source,
    /// Its tree.
    pub tree: Tree,
    /// What is damaged, in words.
    pub problems: Vec<String>,
    members: Vec<Member>,
}

/// One member as it lies in the archive.
struct Member {
    path: Vec<u8>,
    /// Where it begins: with extensions, if there are any, before the header.
    start: u64,
    header: u64,
    content: Range<u64>,
    /// Its content is that of no file in the tree.
    apart: bool,
    /// It is stored without its holes.
    sparse: bool,
}

impl Member {
    fn extensions(&self) -> Range<u64> {
        self.start..self.header
    }

    /// What goes on with the list of a sparse file's pieces.
    fn list(&self) -> Range<u64> {
        self.header.saturating_add(BLOCK)..self.content.start
    }

    fn end(&self) -> u64 {
        self.content.end.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
    }

    fn padding(&self) -> Range<u64> {
        self.content.end..self.end()
    }
}

impl Archive {
    /// Reads an archive. Of several members with one path the last counts, as when unpacking.
    pub fn read(source: Source) -> Result<Self> {
        let mut archive = tar::Archive::new(Stream::new(&source));
        let mut read = Self {
            source,
            tree: Tree { whole_seconds: true, ..Tree::default() },
            problems: Vec::new(),
            members: Vec::new(),
        };
        let doing = "reading the archive";
        let mut end = 0;
        for entry in archive.entries_with_seek().doing(doing)? {
            interrupt::check()?;
            match entry.and_then(|mut entry| read.member(&mut entry, end)) {
                Ok(next) => end = next,
                Err(error) => {
                    fault(&mut read.problems, format!("the archive is damaged behind offset {end}: {error}"));
                    break;
                }
            }
            if read.members.len() > LIMIT {
                return Err(Error::new("the archive has no end"));
            }
        }
        let mut later = BTreeSet::new();
        for Member { path, apart, .. } in read.members.iter_mut().rev() {
            *apart |= !later.insert(&*path);
        }
        Ok(read)
    }

    fn member(&mut self, member: &mut tar::Entry<Stream>, start: u64) -> std::io::Result<u64> {
        let size = member.size();
        let mut place = Member {
            path: absolute(&member.path_bytes()),
            start,
            header: member.raw_header_position(),
            content: member.raw_file_position()..member.raw_file_position().saturating_add(size),
            apart: true,
            sparse: false,
        };
        let mut attributes = BTreeMap::new();
        if let Some(extensions) = member.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                if let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") {
                    attributes.insert(name.to_vec(), extension.value_bytes().to_vec());
                }
            }
        }
        let header = member.header();
        let target = member.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default();
        let number = |value: std::io::Result<Option<u32>>| Ok::<_, std::io::Error>(value?.unwrap_or(0));
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Link => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Link(target.clone()),
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => {
                Kind::Character(number(header.device_major())?, number(header.device_minor())?)
            }
            EntryType::Block => Kind::Block(number(header.device_major())?, number(header.device_minor())?),
            // Headers for the whole archive: compared as bytes.
            _ => return Ok(self.place(place)),
        };
        let id = |id: std::io::Result<u64>| id.map(|id| u32::try_from(id).unwrap_or(u32::MAX));
        let mut entry = Entry {
            mode: Some(header.mode()? & 0o7777),
            owner: Some((id(header.uid())?, id(header.gid())?)),
            size: if kind == Kind::File { size } else { 0 },
            modified: Some((i64::try_from(header.mtime()?).unwrap_or(i64::MAX), 0)),
            attributes,
            identity: self.members.len() as u64,
            body: Body::None,
            kind,
        };
        if header.entry_type() == EntryType::Link {
            // The same file under another name.
            match self.tree.entries.get(&absolute(&target)) {
                Some(first) => entry = first.clone(),
                None => fault(&mut self.problems, format!("{}: it links to nothing", printable(&place.path))),
            }
        } else if entry.kind == Kind::File {
            let mut pieces = vec![Piece { at: 0, from: place.content.start, length: size }];
            if let (EntryType::GNUSparse, Some(header)) = (header.entry_type(), header.as_gnu()) {
                place.sparse = true;
                (pieces, place.content) = self.pieces(header, place.content.start)?;
            }
            pieces.retain(|piece| piece.length > 0);
            entry.body = match Content::new(&self.source, size, pieces) {
                Ok(content) => Body::Stored(content),
                Err(error) => Body::Unreadable(error.to_string()),
            };
            place.apart = matches!(entry.body, Body::Unreadable(_));
        }
        if !self.tree.add(place.path.clone(), entry).map_err(std::io::Error::other)? {
            fault(&mut self.problems, format!("{}: the name is there twice", printable(&place.path)));
        }
        Ok(self.place(place))
    }

    /// Notes a member; returns where the next begins.
    fn place(&mut self, member: Member) -> u64 {
        let end = member.end();
        self.members.push(member);
        end
    }

    /// The pieces of a file that is stored without its holes, and where they all lie (GNU tar, "Storing Sparse Files").
    /// The list of them begins in the header and goes on in blocks behind it; the library has seen that it is sound.
    fn pieces(&self, header: &GnuHeader, behind: u64) -> std::io::Result<(Vec<Piece>, Range<u64>)> {
        let (mut pieces, mut length) = (Vec::new(), 0_u64);
        let mut add = |listed: &[GnuSparseHeader]| -> std::io::Result<()> {
            for piece in listed.iter().filter(|piece| !piece.is_empty()) {
                let piece = Piece { at: piece.offset()?, from: length, length: piece.length()? };
                length = length.saturating_add(piece.length);
                pieces.push(piece);
            }
            Ok(())
        };
        add(&header.sparse)?;
        let (mut start, mut more) = (behind, header.is_extended());
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.source.read_at(start, block.as_mut_bytes()).map_err(std::io::Error::other)?;
            add(block.sparse())?;
            (start, more) = (start.saturating_add(BLOCK), block.is_extended());
        }
        for piece in &mut pieces {
            piece.from = piece.from.saturating_add(start);
        }
        Ok((pieces, start..start.saturating_add(length)))
    }
}

/// `./etc/`, `etc` and `/etc` are one path.
fn absolute(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let path = parts.flat_map(|part| [b"/", part].concat()).collect::<Vec<u8>>();
    if path.is_empty() { b"/".to_vec() } else { path }
}

/// A header's fields.
const FIELDS: &[Field] = &[
    (0, 100, "name"),
    (100, 8, "mode"),
    (108, 8, "owner"),
    (116, 8, "group"),
    (124, 12, "size"),
    (136, 12, "modification time"),
    (148, 8, CHECKSUM),
    (156, 1, "type"),
    (157, 100, "link target"),
    (257, 8, "format"),
    (265, 32, "owner's name"),
    (297, 32, "group's name"),
    (329, 8, "device major"),
    (337, 8, "device minor"),
    (345, 155, "name"),
];
const CHECKSUM: &str = "checksum";
/// Where the list of a sparse file's pieces begins in its header.
const LIST: usize = 386;
/// Fields that say what is told of the file, when anything is.
const TOLD: [&str; 8] =
    ["mode", "owner", "group", "size", "modification time", "type", "link target", "device minor"];

/// Tells the differences that `changed`, the differences between the trees, does not explain.
pub fn compare(a: &Archive, b: &Archive, changed: &Changed, findings: &mut Findings) -> Result<()> {
    order(a, b, findings);
    let mut places: BTreeMap<&[u8], Vec<&Member>> = BTreeMap::new();
    for member in b.members.iter().rev() {
        places.entry(&member.path).or_default().push(member);
    }
    for member in &a.members {
        interrupt::check()?;
        let Some(other) = places.get_mut(&member.path[..]).and_then(Vec::pop) else { continue };
        let name = printable(&member.path);
        let (told, of) = (changed.has(&member.path), changed.of(&member.path));
        head(a, b, member, other, told, &name, findings)?;
        if (member.apart || other.apart) && !of.kind && !of.content {
            let parts = (member.content.clone(), other.content.clone());
            stretch(a, b, parts, &format!("content of {name}"), findings)?;
        }
        if !told {
            let place = format!("padding behind {name}");
            stretch(a, b, (member.padding(), other.padding()), &place, findings)?;
        }
    }
    let end = |archive: &Archive| {
        let last = archive.members.last().map_or(0, Member::end);
        last.min(archive.source.size())..archive.source.size()
    };
    stretch(a, b, (end(a), end(b)), "end of the archive", findings)
}

/// Tells the first member that is not at its turn, leaving out those that only one archive has.
fn order(a: &Archive, b: &Archive, findings: &mut Findings) {
    let common = |mine: &Archive, theirs: &Archive| -> Vec<(Vec<u8>, u64)> {
        let paths: BTreeSet<&[u8]> = theirs.members.iter().map(|member| &member.path[..]).collect();
        let common = mine.members.iter().filter(|member| paths.contains(&member.path[..]));
        common.map(|member| (member.path.clone(), member.start)).collect()
    };
    let (a, b) = (common(a, b), common(b, a));
    let turn = a.iter().zip(&b).find(|(a, b)| a.0 != b.0);
    if let Some((mine, theirs)) = turn {
        findings.tell_apart(
            mine.1..mine.1 + BLOCK,
            theirs.1,
            BLOCK,
            format!("order of members: {} in A, {} in B", printable(&mine.0), printable(&theirs.0)),
        );
    }
}

fn head(
    a: &Archive,
    b: &Archive,
    mine: &Member,
    theirs: &Member,
    told: bool,
    name: &str,
    findings: &mut Findings,
) -> Result<()> {
    let (header_a, header_b) = (mine.header, theirs.header);
    let header = |archive: &Archive, start: u64| archive.source.bytes(start..start + BLOCK, BLOCK as usize);
    let (bytes_a, bytes_b) = (header(a, header_a)?, header(b, header_b)?);
    let fields = le::differing(FIELDS, &bytes_a, &bytes_b);
    for (field, range) in &fields {
        let follows = match *field {
            CHECKSUM => fields.len() > 1,
            // What the lists of pieces say is the content.
            _ if mine.sparse && theirs.sparse && range.start >= LIST => told,
            field => told && (TOLD.contains(&field) || field == "device major"),
        };
        if !follows {
            let start = header_a + range.start as u64;
            findings.tell_apart(
                start..header_a + range.end as u64,
                header_b + range.start as u64,
                count(&bytes_a, &bytes_b, range),
                format!("header of {name}: {field}"),
            );
        }
    }
    if !told {
        let extensions = (mine.extensions(), theirs.extensions());
        stretch(a, b, extensions, &format!("extended header of {name}"), findings)?;
        stretch(a, b, (mine.list(), theirs.list()), &format!("list of pieces of {name}"), findings)?;
    }
    Ok(())
}

/// Tells the difference of two stretches, which may be long, as one.
fn stretch(
    a: &Archive,
    b: &Archive,
    (range_a, range_b): (Range<u64>, Range<u64>),
    place: &str,
    findings: &mut Findings,
) -> Result<()> {
    if range_a.is_empty() && range_b.is_empty() {
        return Ok(());
    }
    let (start_a, start_b) = (range_a.start, range_b.start);
    let (a, b) = (Window::new(&a.source, range_a), Window::new(&b.source, range_b));
    let Some(first) = raw::first_difference(&a, &b)? else { return Ok(()) };
    let chunks = raw::chunks(&a, &b)?;
    let more = a.size().abs_diff(b.size());
    let end = match chunks.last().filter(|_| more == 0) {
        Some(last) => {
            let range = last.offset..(last.offset + raw::CHUNK as u64).min(a.size());
            let (bytes_a, bytes_b) = (a.bytes(range.clone(), raw::CHUNK)?, b.bytes(range, raw::CHUNK)?);
            last.offset + le::runs(&bytes_a, &bytes_b).last().map_or(0, |run| run.end as u64)
        }
        None => a.size().max(b.size()),
    };
    let count = chunks.iter().map(|chunk| chunk.bytes).sum::<u64>() + more;
    findings.tell_apart(start_a + first..start_a + end, start_b + first, count, place);
    Ok(())
}

#[cfg(test)]
mod tests;
