//! An ext4 filesystem as it lies in an image, read without mounting.
//!
//! Why not by the ext4_view library, which reads the trees of the static checks: a difference has to be told by the
//! place of its bytes, and that library shows neither inode numbers nor block maps, nor extended attributes, change
//! times and device numbers; and a filesystem with one wrong checksum, which it rightly refuses, is just what is to be
//! compared. It judges, instead: the tests hold this reader's tree against that library's, and [`Filesystem::damage`]
//! asks it whether the filesystem is sound.

mod attributes;
mod compare;
mod directory;
mod inode;
mod inodes;
mod map;
mod places;
mod structures;
mod superblock;

pub use compare::compare;

use super::source::{ReadAt, Source};
use super::text::printable;
use super::tree::{Body, Content, Entry, Kind, Piece, Tree, fault};
use crate::error::{Context, Error, Result};
use crate::interrupt;
use inode::Inode;
use map::{Map, Mapper};
use std::collections::{BTreeMap, BTreeSet};
use superblock::{Descriptor, Superblock};

/// A directory of more bytes is none that an image has.
const DIRECTORY_LIMIT: usize = 256 << 20;
/// A symbolic link's target has at most this many bytes (PATH_MAX).
const TARGET_LIMIT: usize = 4096;
/// In more pieces the files of no server are, all together.
const PIECES: usize = 1 << 24;

/// A filesystem that was read: its tree, and where everything lies.
pub struct Filesystem {
    source: Source,
    superblock: Superblock,
    descriptors: Vec<Descriptor>,
    /// Its files.
    pub tree: Tree,
    /// What is damaged, in words.
    pub problems: Vec<String>,
    /// Every inode that was met, and those of the filesystem itself.
    inodes: BTreeMap<u32, Stored>,
    /// The paths that lead to each inode.
    paths: BTreeMap<u32, Vec<Vec<u8>>>,
    /// In how many pieces the files are that were met.
    pieces: usize,
}

/// An inode and its blocks.
struct Stored {
    inode: Inode,
    map: Map,
}

impl Filesystem {
    /// Reads the filesystem at the start of `source`. What is damaged in the tree is told in `problems`; an error is
    /// only that there is no such filesystem, or one that is not understood.
    pub fn read(source: Source) -> Result<Self> {
        let superblock = Superblock::read(&*source)?;
        let descriptors = superblock.descriptors(&*source)?;
        let mut filesystem = Self {
            source,
            superblock,
            descriptors,
            tree: Tree::default(),
            problems: Vec::new(),
            inodes: BTreeMap::new(),
            paths: BTreeMap::new(),
            pieces: 0,
        };
        filesystem.own_inodes();
        filesystem.walk()?;
        Ok(filesystem)
    }

    /// Whether a filesystem of this kind begins `source`, even one that cannot be read.
    pub fn is_there(source: &dyn ReadAt) -> bool {
        Superblock::is_there(source)
    }

    /// The label and UUID.
    pub fn names(&self) -> (String, String) {
        (printable(self.superblock.label()), self.superblock.uuid())
    }

    /// What a reader that checks checksums says against the filesystem as a whole.
    pub fn damage(&self) -> Option<String> {
        struct Reader(Source);
        impl ext4_view::Ext4Read for Reader {
            fn read(
                &mut self,
                start: u64,
                to: &mut [u8],
            ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
                Ok(self.0.read_at(start, to).map_err(|error| error.to_string())?)
            }
        }
        let reader = Box::new(Reader(Source::clone(&self.source)));
        ext4_view::Ext4::load(reader).err().map(|error| error.to_string())
    }

    /// Whether its journal holds changes that are not in the tree as it is read here.
    pub fn needs_recovery(&self) -> bool {
        self.superblock.needs_recovery()
    }

    fn problem(&mut self, what: impl Into<String>) {
        fault(&mut self.problems, what);
    }

    fn mapper(&self) -> Mapper<'_> {
        Mapper {
            source: &*self.source,
            block_size: self.superblock.block_size,
            blocks: self.superblock.blocks,
        }
    }

    /// Where an inode lies, in bytes from the start of the filesystem.
    fn place_of_inode(&self, number: u32) -> Option<u64> {
        let index = number.checked_sub(1)?;
        let group = self.descriptors.get((index / self.superblock.inodes_per_group) as usize)?;
        let in_group = u64::from(index % self.superblock.inodes_per_group) * self.superblock.inode_size;
        group.inode_table.checked_mul(self.superblock.block_size)?.checked_add(in_group)
    }

    fn read_inode(&self, number: u32) -> Result<Inode> {
        let damaged = || Error::new(format!("there is no inode {number}"));
        let start = self.place_of_inode(number).ok_or_else(damaged)?;
        let size = self.superblock.inode_size;
        Ok(Inode { bytes: self.source.bytes(start..start.saturating_add(size), size as usize)? })
    }

    /// Notes the inodes that no path leads to: journal, room for descriptors, orphan file.
    fn own_inodes(&mut self) {
        let own = (1..self.superblock.first_inode()).filter(|&number| number != inode::ROOT);
        for number in own.chain([self.superblock.orphan_file()]).filter(|&number| number > 0) {
            // Reserved ones are kept unused, too: their bytes are told by their number.
            let Ok(inode) = self.read_inode(number) else { continue };
            // The room for descriptors is where it must be, whatever its map says.
            let map = if number == inode::RESIZE || !inode.is_used() {
                Map { blocks: resize_map(&inode), ..Map::default() }
            } else {
                self.mapper().map(&inode).unwrap_or_default()
            };
            self.inodes.insert(number, Stored { inode, map });
        }
    }

    fn walk(&mut self) -> Result<()> {
        let root = self.entry(inode::ROOT).doing("reading the root directory")?;
        if root.kind != Kind::Directory {
            return Err(Error::new("its root is no directory"));
        }
        self.add(b"/".to_vec(), inode::ROOT, root)?;
        let mut pending = vec![(b"/".to_vec(), inode::ROOT)];
        let mut visited = BTreeSet::from([inode::ROOT]);
        while let Some((path, number)) = pending.pop() {
            interrupt::check()?;
            let content = match self.directory(number) {
                Ok(content) => content,
                Err(error) => {
                    self.problem(format!("{}: {error}", printable(&path)));
                    continue;
                }
            };
            let (records, sound) = directory::records(&content, self.superblock.block_size as usize);
            if !sound {
                self.problem(format!("{}: the directory is damaged", printable(&path)));
            }
            for record in records {
                interrupt::check()?;
                let child = [path.strip_suffix(b"/").unwrap_or(&path), b"/", &record.name].concat();
                let entry = match self.known(record.inode).map_or_else(|| self.entry(record.inode), Ok) {
                    Ok(entry) => entry,
                    Err(error) => {
                        self.problem(format!("{}: {error}", printable(&child)));
                        continue;
                    }
                };
                if entry.kind == Kind::Directory {
                    if !visited.insert(record.inode) {
                        self.problem(format!("{}: the directory has a second name", printable(&child)));
                        continue;
                    }
                    pending.push((child.clone(), record.inode));
                }
                self.add(child, record.inode, entry)?;
                if self.pieces > PIECES {
                    return Err(Error::new("its files are in more pieces than those of any server"));
                }
            }
        }
        for paths in self.paths.values_mut() {
            paths.sort();
        }
        Ok(())
    }

    fn add(&mut self, path: Vec<u8>, number: u32, entry: Entry) -> Result<()> {
        if self.tree.add(path.clone(), entry)? {
            self.paths.entry(number).or_default().push(path);
        } else {
            self.problem(format!("{}: the name is there twice", printable(&path)));
        }
        Ok(())
    }

    /// A file that was met under another name.
    fn known(&self, number: u32) -> Option<Entry> {
        let entry = self.tree.entries.get(self.paths.get(&number)?.first()?)?;
        (entry.kind != Kind::Directory && entry.identity == u64::from(number)).then(|| entry.clone())
    }

    /// The content of a directory's inode.
    fn directory(&self, number: u32) -> Result<Vec<u8>> {
        let stored = self.inodes.get(&number).ok_or_else(|| Error::new("it is no inode"))?;
        if let Some(why) = stored.inode.unreadable() {
            return Err(Error::new(why));
        }
        let content = self.content(stored)?;
        content.bytes(0..content.size(), DIRECTORY_LIMIT)
    }

    fn content(&self, stored: &Stored) -> Result<Content> {
        let (block, size) = (self.superblock.block_size, stored.inode.size());
        let pieces = stored.map.extents.iter().filter(|extent| extent.written).filter_map(|extent| {
            let at = extent.logical * block;
            let length = (extent.blocks * block).min(size.saturating_sub(at));
            (length > 0).then_some(Piece { at, from: extent.physical * block, length })
        });
        Content::new(&self.source, size, pieces.collect())
    }

    fn entry(&mut self, number: u32) -> Result<Entry> {
        let inode = self.read_inode(number)?;
        if !inode.is_used() {
            return Err(Error::new(format!("inode {number} is not in use")));
        }
        let map = if inode.is_mapless() || inode.unreadable().is_some() {
            Ok(Map::default())
        } else {
            self.mapper().map(&inode)
        };
        let (map, fault) = match map {
            Ok(map) => (map, inode.unreadable().map(str::to_owned)),
            Err(error) => (Map::default(), Some(error.to_string())),
        };
        self.pieces += map.extents.len() + map.blocks.len();
        let stored = Stored { inode, map };
        let target = self.target(&stored, fault.as_deref())?;
        let kind = stored.inode.kind(target);
        let body = match (&kind, fault) {
            (Kind::File, Some(why)) => Body::Unreadable(why),
            (Kind::File, None) => match self.content(&stored) {
                Ok(content) => Body::Stored(content),
                Err(error) => Body::Unreadable(error.to_string()),
            },
            (Kind::Directory, Some(why)) => return Err(Error::new(why)),
            _ => Body::None,
        };
        let size = if kind == Kind::File { stored.inode.size() } else { 0 };
        let entry = Entry {
            kind,
            mode: Some(stored.inode.mode() & 0o7777),
            owner: Some(stored.inode.owner()),
            size,
            modified: Some(stored.inode.modified()),
            attributes: self.attributes(number, &stored.inode),
            identity: number.into(),
            body,
        };
        self.inodes.insert(number, stored);
        Ok(entry)
    }

    /// Where a symbolic link leads: up to 59 bytes lie in the inode.
    fn target(&self, stored: &Stored, fault: Option<&str>) -> Result<Vec<u8>> {
        let inode = &stored.inode;
        if inode.mode() & 0xf000 != 0xa000 {
            return Ok(Vec::new());
        }
        match fault {
            Some(why) => Err(Error::new(why)),
            None if inode.is_mapless() => Ok(inode.map()[..inode.size() as usize].to_vec()),
            None => self.content(stored)?.bytes(0..inode.size(), TARGET_LIMIT),
        }
    }

    fn attributes(&mut self, number: u32, inode: &Inode) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut sound = attributes::in_inode(inode.attribute_space(), &mut found);
        let block = inode.attribute_block();
        if block != 0 {
            let size = self.superblock.block_size;
            let start = block.saturating_mul(size);
            sound &= match self.source.bytes(start..start.saturating_add(size), size as usize) {
                Ok(bytes) => attributes::in_block(&bytes, &mut found),
                Err(_) => false,
            };
        }
        if !sound {
            self.problem(format!("inode {number}: its extended attributes are damaged"));
        }
        found
    }

    /// An inode for people: its number and the paths that lead to it.
    fn inode_name(&self, number: u32) -> String {
        let name = match number {
            inode::JOURNAL => "the journal".into(),
            inode::RESIZE => "room for group descriptors".into(),
            _ if number == self.superblock.orphan_file() => "the orphan file".into(),
            _ => match self.paths.get(&number).map(Vec::as_slice) {
                Some([path]) => printable(path),
                Some([path, rest @ ..]) => format!("{} (and {} more names)", printable(path), rest.len()),
                _ if number < self.superblock.first_inode() => "reserved".into(),
                _ => "not in use".into(),
            },
        };
        format!("inode {number} = {name}")
    }
}

/// The one block of its own map that the inode of room for descriptors has: the list of lists.
fn resize_map(inode: &Inode) -> Vec<u64> {
    let block = super::le::u32_at(inode.map(), 13 * 4);
    if block == 0 { Vec::new() } else { vec![block.into()] }
}

#[cfg(test)]
mod tests;
