//! Unpacking packages into a tree the way dpkg does, but all at once.
//!
//! dpkg unpacks one package after another, so that the order decides who owns a directory's mode or a file
//! that two packages ship. Here packages are unpacked in parallel and every such decision is made from the
//! packages' rank, never from who came first.

use super::accounts::Accounts;
use super::database;
use super::deb::Control;
use super::expand;
use super::filter::Filter;
use super::overrides::{Diversions, StatOverrides};
use crate::archive::relation;
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::tree::inside::{self, Tree};
use md5::{Digest, Md5};
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{
    Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fchownat, linkat, mkfifoat, symlinkat, unlinkat,
};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tar::EntryType;

/// A package about to be unpacked.
#[derive(Debug, Clone)]
pub struct Package {
    /// The .deb.
    pub deb: PathBuf,
    /// Where its data is, or will be, in expanded form; nothing when that is not worth it.
    pub expanded: Option<PathBuf>,
    /// Its control archive.
    pub control: Control,
}

/// What unpacking one package left, for dpkg's database.
#[derive(Debug, Clone, Default)]
pub struct Unpacked {
    /// Every path, as in `NAME.list`: absolute, in the archive's order, the root as `/.`.
    pub paths: Vec<String>,
    /// MD5 of regular files by path below the root: of conffiles, and of all when the package ships no md5sums.
    pub digests: BTreeMap<PathBuf, String>,
}

/// Directories of the root that merged /usr makes links into /usr (file-hierarchy(7)).
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// A path as it is when the links of merged /usr are followed.
pub fn merged(path: &Path) -> PathBuf {
    let first = path.components().next().map(|component| component.as_os_str().to_os_string());
    match first {
        Some(first) if MERGED.iter().any(|name| first == *name) && path != Path::new(&first) => {
            Path::new("usr").join(path)
        }
        _ => path.to_path_buf(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Metadata {
    mode: u32,
    /// Nothing: whoever unpacks.
    uid: Option<Uid>,
    gid: Option<Gid>,
    mtime: i64,
}

/// Who owns what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Whom the packages name.
    True,
    /// The user who runs goldcast owns everything.
    Mine,
}

/// Unpacks packages into one tree.
pub struct Unpacker<'a> {
    tree: Tree,
    packages: &'a [Package],
    accounts: Accounts,
    diversions: Diversions,
    overrides: StatOverrides,
    owners: Owners,
    filter: Filter,
    /// Who owns a path, by rank. Kept over all batches.
    claims: &'a Claims,
    /// One per group of paths, held from the claim of a path until its inode has the name: whoever owns a path
    /// then finds what the earlier owner left there, never a name about to appear.
    naming: [Mutex<()>; 64],
    /// Hard links to make when all files are there: whose, where, and to which path.
    links: Mutex<Vec<(usize, PathBuf, PathBuf)>>,
    /// Directories made in this batch.
    made: Mutex<HashSet<PathBuf>>,
    /// What each directory should be, from the lowest rank that ships it.
    directories: Mutex<HashMap<PathBuf, (usize, Metadata)>>,
}

/// Which package, by rank, owns each path that is not a directory.
#[derive(Debug, Default)]
pub struct Claims(Mutex<HashMap<PathBuf, usize>>);

impl Claims {
    /// What packages of a tree that are already there own, from dpkg's lists.
    pub fn of(tree: &Path, packages: &[Package], ranks: &BTreeSet<usize>) -> Result<Self> {
        let diversions = Diversions::of(tree)?;
        let inside = Tree::open(tree)?;
        let mut claims = HashMap::new();
        for &rank in ranks {
            let package = &packages[rank];
            for path in database::list(tree, package)? {
                let path = diversions.of_file(&path, package.control.stanza.package());
                if inside.kind(&path)? != Some(SFlag::S_IFDIR) {
                    claims.insert(merged(&path), rank);
                }
            }
        }
        Ok(Self(Mutex::new(claims)))
    }
}

enum Claim {
    /// Nobody had it.
    Free,
    /// Another package had it and gives way.
    Taken,
    /// Another package has it and this one gives way.
    Lost,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl<'a> Unpacker<'a> {
    /// An unpacker for `tree`; `packages` are all that will be in it, a package's rank is its place there.
    pub fn new(tree: &Path, packages: &'a [Package], claims: &'a Claims) -> Result<Self> {
        Ok(Self {
            tree: Tree::open(tree)?,
            packages,
            accounts: Accounts::of(tree),
            diversions: Diversions::of(tree)?,
            overrides: StatOverrides::of(tree)?,
            owners: Owners::True,
            filter: Filter::default(),
            claims,
            naming: [const { Mutex::new(()) }; 64],
            links: Mutex::default(),
            made: Mutex::default(),
            directories: Mutex::default(),
        })
    }

    /// Sets who owns what is unpacked.
    pub fn owners(mut self, owners: Owners) -> Self {
        self.owners = owners;
        self
    }

    /// Sets what stays out. dpkg's lists name it all the same.
    pub fn filter(mut self, filter: &Filter) -> Self {
        self.filter = filter.clone();
        self
    }

    /// Unpacks the packages with these ranks, in parallel; `done` is told each rank as it is done.
    pub fn unpack(
        &self,
        ranks: &[usize],
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<BTreeMap<usize, Unpacked>> {
        let unpacked = ranks
            .par_iter()
            .with_max_len(1)
            .map(|&rank| {
                interrupt::check()?;
                let result = self.one(rank)?;
                done(rank);
                Ok((rank, result))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        self.finish_links()?;
        self.finish_directories()?;
        Ok(self.without_lost_paths(unpacked))
    }

    fn one(&self, rank: usize) -> Result<Unpacked> {
        let package = &self.packages[rank];
        let conffiles: HashSet<PathBuf> = package
            .control
            .text("conffiles")
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.trim().strip_prefix('/').map(PathBuf::from))
            .collect();
        let digest_all = !package.control.files.contains_key("md5sums");
        let mut unpacked = Unpacked::default();
        expand::data(package, |stream| {
            let mut writer = Writer { unpacker: self, rank, last: None };
            let mut archive = tar::Archive::new(stream);
            for entry in archive.entries()? {
                let mut entry = entry?;
                let path = inside::relative(&entry.path()?)?;
                unpacked.paths.push(listed(&path));
                if self.filter.leaves_out(&path, entry.header().entry_type()) {
                    continue;
                }
                let wants_digest = digest_all || conffiles.contains(&path);
                if let Some(digest) = writer.entry(&mut entry, &path, wants_digest)? {
                    unpacked.digests.insert(path, digest);
                }
            }
            Ok(())
        })?;
        Ok(unpacked)
    }

    /// Decides who owns `path` when `rank` ships it too; see deb-control(5), Replaces.
    fn claim(&self, path: &Path, rank: usize) -> Result<Claim> {
        let mut claims = lock(&self.claims.0);
        let key = merged(path);
        let Some(&holder) = claims.get(&key) else {
            claims.insert(key, rank);
            return Ok(Claim::Free);
        };
        if holder == rank {
            return Ok(Claim::Taken);
        }
        let (mine, theirs) = (&self.packages[rank].control, &self.packages[holder].control);
        if replaces(mine, theirs) {
            claims.insert(key, rank);
            Ok(Claim::Taken)
        } else if replaces(theirs, mine) {
            Ok(Claim::Lost)
        } else {
            Err(Error::new(format!(
                "the packages {} and {} both contain /{}, and neither replaces the other",
                theirs.stanza.package(),
                mine.stanza.package(),
                path.display()
            )))
        }
    }

    /// The lock for making `path`.
    fn naming(&self, path: &Path) -> std::sync::MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(merged(path));
        lock(&self.naming[hash as usize % self.naming.len()])
    }

    /// Makes the hard links, once every file is there: until then, whose file a target is may still change.
    fn finish_links(&self) -> Result<()> {
        let mut links = lock(&self.links);
        links.sort_by_key(|(rank, ..)| *rank);
        for (rank, path, target) in links.drain(..) {
            let owner = lock(&self.claims.0).get(&merged(&path)).copied();
            if owner == Some(rank) {
                self.link(&path, &target).doing_with(|| {
                    let package = self.packages[rank].control.stanza.package();
                    format!("hard-linking /{} of {package} to /{}", path.display(), target.display())
                })?;
            }
        }
        Ok(())
    }

    /// Makes `path` a hard link to `target`, in place of what has that name.
    fn link(&self, path: &Path, target: &Path) -> Result<()> {
        let (from, from_name) = inside::split(target)?;
        let from = self.tree.directory(&from, &mut |_| {})?;
        let (parent, name) = inside::split(path)?;
        let parent = self.tree.directory(&parent, &mut |_| {})?;
        make_room(&parent, &name, EntryType::Link)?;
        Ok(linkat(&from, from_name.as_os_str(), &parent, name.as_os_str(), LinkatFlags::empty())?)
    }

    /// dpkg's lists do not name a file that another package took over.
    fn without_lost_paths(&self, mut unpacked: BTreeMap<usize, Unpacked>) -> BTreeMap<usize, Unpacked> {
        let claims = lock(&self.claims.0);
        for (rank, result) in &mut unpacked {
            let package = self.packages[*rank].control.stanza.package();
            result.paths.retain(|path| {
                let path = Path::new(path.trim_start_matches('/'));
                let key = merged(&self.diversions.of_file(path, package));
                claims.get(&key).is_none_or(|owner| owner == rank)
            });
        }
        unpacked
    }

    /// Gives directories made in this batch their owner, mode and time: after all files are in them.
    fn finish_directories(&self) -> Result<()> {
        let made = lock(&self.made);
        let wanted = lock(&self.directories);
        let mut paths: Vec<&PathBuf> = made.iter().collect();
        paths.sort();
        for path in paths.into_iter().rev() {
            let Some((_, metadata)) = wanted.get(path) else { continue };
            let (parent, name) = inside::split(path)?;
            let parent = self.tree.directory(&parent, &mut |_| {})?;
            set_metadata(&parent, &name, *metadata, false).doing_with(|| format!("/{}", path.display()))?;
        }
        Ok(())
    }

    fn metadata(&self, entry: &tar::Entry<'_, impl Read>, path: &Path) -> Result<Metadata> {
        let header = entry.header();
        let mtime = i64::try_from(header.mtime()?).unwrap_or(0);
        if self.owners == Owners::Mine {
            // Readable and removable by the user without a namespace; no program is set-user-id.
            return Ok(Metadata { mode: header.mode()? & 0o755 | 0o600, uid: None, gid: None, mtime });
        }
        // Names first, as dpkg does: a package built elsewhere may number a group differently.
        let by_name = |name: std::result::Result<Option<&str>, _>| name.ok().flatten().map(str::to_owned);
        let user = by_name(header.username()).and_then(|name| self.accounts.user(&name)).map(|user| user.uid);
        let group = by_name(header.groupname()).and_then(|name| self.accounts.group(&name));
        let id = |number: u64| {
            u32::try_from(number).map_err(|_| Error::new(format!("the id {number} is out of range")))
        };
        let mut uid = user.map_or_else(|| id(header.uid()?), Ok)?;
        let mut gid = group.map_or_else(|| id(header.gid()?), Ok)?;
        let mut mode = header.mode()? & 0o7777;
        if let Some((user, group, overridden)) = self.overrides.get(path) {
            mode = overridden;
            uid = self.accounts.user(user).map_or(uid, |user| user.uid);
            gid = self.accounts.group(group).unwrap_or(gid);
        }
        Ok(Metadata { mode, uid: Some(Uid::from_raw(uid)), gid: Some(Gid::from_raw(gid)), mtime })
    }
}

/// A path as dpkg's list writes it.
fn listed(path: &Path) -> String {
    if path.as_os_str().is_empty() { "/.".to_owned() } else { format!("/{}", path.display()) }
}

/// Whether `new` may overwrite files of `old`: Debian Policy 7.6.1.
fn replaces(new: &Control, old: &Control) -> bool {
    let version = old.stanza.get("Version").unwrap_or_default();
    relation::parse(new.stanza.get("Replaces").unwrap_or_default()).is_ok_and(|groups| {
        let mut relations = groups.iter().flat_map(|group| &group.alternatives);
        relations.any(|relation| relation.name == old.stanza.package() && relation.admits(version))
    })
}

/// Writes the entries of one package; remembers the directory it wrote to last.
struct Writer<'u, 'a> {
    unpacker: &'u Unpacker<'a>,
    rank: usize,
    last: Option<(PathBuf, OwnedFd)>,
}

impl Writer<'_, '_> {
    fn entry(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        path: &Path,
        wants_digest: bool,
    ) -> Result<Option<String>> {
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            return self.directory(entry, path).map(|()| None);
        }
        let package = self.unpacker.packages[self.rank].control.stanza.package();
        let path = self.unpacker.diversions.of_file(path, package);
        let (parent, name) = inside::split(&path)?;
        let naming = self.unpacker.naming(&path);
        match self.unpacker.claim(&path, self.rank)? {
            Claim::Lost => return Ok(None),
            Claim::Free | Claim::Taken => {}
        }
        let metadata = self.unpacker.metadata(entry, &path)?;
        let link = entry.link_name()?.map(std::borrow::Cow::into_owned);
        let parent = self.parent(parent)?;
        if !make_room(parent, &name, kind).doing_with(|| format!("replacing /{}", path.display()))? {
            return Ok(None);
        }
        let here = |what: &str| format!("{what} /{}", path.display());
        match (kind, link) {
            (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
                let file = new_file(parent, &name).doing_with(|| here("making"))?;
                drop(naming);
                return write_file(file, entry, metadata, wants_digest).doing_with(|| here("writing"));
            }
            (EntryType::Symlink, Some(target)) => {
                symlinkat(target.as_path(), parent, name.as_os_str()).doing_with(|| here("linking"))?;
                set_metadata(parent, &name, metadata, true).doing_with(|| here("owning"))?;
            }
            (EntryType::Link, Some(target)) => {
                let target = self.unpacker.diversions.of_file(&inside::relative(&target)?, package);
                lock(&self.unpacker.links).push((self.rank, path, target));
            }
            (EntryType::Fifo, _) => {
                mkfifoat(parent, name.as_os_str(), Mode::from_bits_truncate(0o600))
                    .doing_with(|| here("making the pipe"))?;
                set_metadata(parent, &name, metadata, false).doing_with(|| here("owning"))?;
            }
            (EntryType::Char | EntryType::Block, _) => {
                return Err(Error::new(format!(
                    "it holds the device node /{}; packages may not ship devices",
                    path.display()
                )));
            }
            (other, _) => {
                return Err(Error::new(format!(
                    "it holds /{} of the unknown kind {other:?}",
                    path.display()
                )));
            }
        }
        Ok(None)
    }

    fn directory(&mut self, entry: &tar::Entry<'_, impl Read>, path: &Path) -> Result<()> {
        let metadata = self.unpacker.metadata(entry, path)?;
        let key = merged(path);
        if !key.as_os_str().is_empty() {
            self.parent(path.to_path_buf())?;
        }
        let mut directories = lock(&self.unpacker.directories);
        let entry = directories.entry(key).or_insert((self.rank, metadata));
        if self.rank < entry.0 {
            *entry = (self.rank, metadata);
        }
        Ok(())
    }

    fn parent(&mut self, path: PathBuf) -> Result<&OwnedFd> {
        let known = self.last.as_ref().is_some_and(|(last, _)| *last == path);
        if !known {
            let made = &self.unpacker.made;
            let opened = self.unpacker.tree.directory(&path, &mut |new| {
                lock(made).insert(merged(new));
            })?;
            self.last = Some((path, opened));
        }
        self.last.as_ref().map(|(_, fd)| fd).ok_or_else(|| Error::new("the directory was closed"))
    }
}

/// Removes what is in the way; says whether the entry is to be written at all.
fn make_room(parent: &OwnedFd, name: &OsStr, new: EntryType) -> Result<bool> {
    match inside::kind(parent, name)? {
        None => Ok(true),
        // dpkg never turns a directory into a link by itself (dpkg-maintscript-helper(1), dir_to_symlink).
        Some(SFlag::S_IFDIR) if new == EntryType::Symlink => Ok(false),
        Some(SFlag::S_IFDIR) => Err(Error::new("there is a directory in its place")),
        Some(_) => {
            unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?;
            Ok(true)
        }
    }
}

fn new_file(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?)
}

fn write_file(
    opened: OwnedFd,
    content: &mut impl Read,
    metadata: Metadata,
    wants_digest: bool,
) -> Result<Option<String>> {
    let mut file = std::io::BufWriter::with_capacity(1 << 16, FileOf(opened));
    let digest = if wants_digest {
        let mut both = Hashing { inner: &mut file, digest: Md5::new() };
        std::io::copy(content, &mut both)?;
        Some(hex::encode(both.digest.finalize()))
    } else {
        std::io::copy(content, &mut file)?;
        None
    };
    let FileOf(file) = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    // By descriptor, so that a file that another thread put in its place is never touched.
    fchown(&file, metadata.uid, metadata.gid)?;
    fchmod(&file, Mode::from_bits_truncate(metadata.mode))?;
    let time = TimeSpec::new(metadata.mtime, 0);
    futimens(&file, &time, &time)?;
    Ok(digest)
}

struct FileOf(OwnedFd);

impl Write for FileOf {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(nix::unistd::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Hashing<'a, W> {
    inner: &'a mut W,
    digest: Md5,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn set_metadata(parent: &OwnedFd, name: &OsStr, metadata: Metadata, link: bool) -> Result<()> {
    fchownat(parent, name, metadata.uid, metadata.gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if !link {
        // After the owner: chown(2) clears the set-user-id bits.
        let mode = Mode::from_bits_truncate(metadata.mode);
        fchmodat(parent, name, mode, nix::sys::stat::FchmodatFlags::FollowSymlink)?;
    }
    let time = TimeSpec::new(metadata.mtime, 0);
    utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)?;
    Ok(())
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
