//! The tree as a tar archive: numeric owners, extended attributes and long names by POSIX pax headers
//! (IEEE Std 1003.1, pax, "ustar Interchange Format" and "pax Extended Header").

use super::attributes;
use crate::error::{Context, Result};
use crate::interrupt;
use fs_err::File;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// The largest id that the octal field of a header holds.
const LARGEST_ID: u32 = 0o7_777_777;
/// The largest size that the octal field of a header holds.
const LARGEST_SIZE: u64 = 0o77_777_777_777;

/// Writes the tree as an archive, names sorted, beginning with `./`.
pub fn write(tree: &Path, epoch: i64, out: &mut dyn Write) -> Result<()> {
    let mut archive = Archive::new(out, epoch);
    archive.entry(tree, b"./", &fs_err::symlink_metadata(tree)?)?;
    archive.directory(tree, b"./")?;
    archive.finish()
}

/// An archive under way.
pub struct Archive<'a> {
    builder: Builder<&'a mut dyn Write>,
    epoch: i64,
    /// The name under which a file with several was met first, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl<'a> Archive<'a> {
    /// An empty archive; times later than `epoch` are written as it.
    pub fn new(out: &'a mut dyn Write, epoch: i64) -> Self {
        Self { builder: Builder::new(out), epoch, linked: HashMap::new() }
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<()> {
        Ok(self.builder.finish()?)
    }

    fn directory(&mut self, directory: &Path, name: &[u8]) -> Result<()> {
        let mut entries = fs_err::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            interrupt::check()?;
            let metadata = entry.metadata()?;
            let mut child = [name, entry.file_name().as_bytes()].concat();
            if metadata.is_dir() {
                child.push(b'/');
                self.entry(&entry.path(), &child, &metadata)?;
                self.directory(&entry.path(), &child)?;
            } else {
                self.entry(&entry.path(), &child, &metadata)?;
            }
        }
        Ok(())
    }

    /// Adds the file at `path` as `name`; a further name of a file that is in the archive becomes a hard link to it.
    pub fn entry(&mut self, path: &Path, name: &[u8], metadata: &std::fs::Metadata) -> Result<()> {
        let kind = metadata.file_type();
        if kind.is_socket() {
            // An archive cannot hold a socket, and the program that makes it makes it again.
            return Ok(());
        }
        let mut header = Header::new_ustar();
        let mut extensions: Vec<(String, Vec<u8>)> = Vec::new();
        header.set_mode(metadata.mode() & 0o7777);
        header.set_mtime(u64::try_from(metadata.mtime().min(self.epoch)).unwrap_or(0));
        header.set_size(0);
        put(&mut header, Field::Name, name, &mut extensions);
        id(metadata.uid(), "uid", &mut extensions, |id| header.set_uid(id));
        id(metadata.gid(), "gid", &mut extensions, |id| header.set_gid(id));

        if metadata.nlink() > 1 && !kind.is_dir() {
            let first = self.linked.entry((metadata.dev(), metadata.ino())).or_insert_with(|| name.to_vec());
            if first != name {
                header.set_entry_type(EntryType::Link);
                put(&mut header, Field::Link, first, &mut extensions);
                return self.append(header, &extensions, std::io::empty());
            }
        }
        if !kind.is_symlink() {
            let attributes = attributes::of(path)?;
            // As GNU tar, bsdtar and container tools name them.
            let named = attributes.into_iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value));
            extensions.extend(named);
        }
        if kind.is_file() {
            header.set_entry_type(EntryType::Regular);
            if metadata.size() > LARGEST_SIZE {
                extensions.push(("size".into(), metadata.size().to_string().into_bytes()));
            }
            header.set_size(metadata.size());
            let content = Exactly { file: File::open(path)?, left: metadata.size() };
            return self
                .append(header, &extensions, content)
                .doing_with(|| format!("archiving {}", path.display()));
        }
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            let target = fs_err::read_link(path)?;
            put(&mut header, Field::Link, target.as_os_str().as_bytes(), &mut extensions);
        } else if kind.is_fifo() {
            header.set_entry_type(EntryType::Fifo);
        } else {
            header.set_entry_type(if kind.is_char_device() { EntryType::Char } else { EntryType::Block });
            let device = metadata.rdev();
            header.set_device_major(nix::sys::stat::major(device) as u32)?;
            header.set_device_minor(nix::sys::stat::minor(device) as u32)?;
        }
        self.append(header, &extensions, std::io::empty())
    }

    fn append(
        &mut self,
        mut header: Header,
        extensions: &[(String, Vec<u8>)],
        content: impl Read,
    ) -> Result<()> {
        let pairs = extensions.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        self.builder.append_pax_extensions(pairs)?;
        header.set_cksum();
        self.builder.append(&header, content)?;
        Ok(())
    }
}

enum Field {
    Name,
    Link,
}

/// Puts a name into the header, and into an extension as well when it is too long for that.
fn put(header: &mut Header, field: Field, name: &[u8], extensions: &mut Vec<(String, Vec<u8>)>) {
    let Some(ustar) = header.as_ustar_mut() else { return };
    let (place, keyword) = match field {
        Field::Name => (&mut ustar.name, "path"),
        Field::Link => (&mut ustar.linkname, "linkpath"),
    };
    let fits = name.len().min(place.len());
    place[..fits].copy_from_slice(&name[..fits]);
    if fits < name.len() {
        extensions.push((keyword.to_owned(), name.to_vec()));
    }
}

/// Sets an owner, by an extension when the field is too narrow.
fn id(id: u32, keyword: &str, extensions: &mut Vec<(String, Vec<u8>)>, set: impl FnOnce(u64)) {
    if id > LARGEST_ID {
        extensions.push((keyword.to_owned(), id.to_string().into_bytes()));
    }
    set(u64::from(id.min(LARGEST_ID)));
}

/// Reads as many bytes of a file as its header says, no more; fewer are an error.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..length])?;
        if read == 0 && length > 0 {
            return Err(std::io::Error::other("the file became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::{UtimensatFlags, utimensat};
    use nix::sys::time::TimeSpec;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const EPOCH: i64 = 1_600_000_000;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs_err::create_dir_all(at("b/deep")).unwrap();
        fs_err::create_dir_all(at(&format!("long/{}", "d".repeat(120)))).unwrap();
        fs_err::write(at("b/file"), "content").unwrap();
        fs_err::set_permissions(at("b/file"), std::fs::Permissions::from_mode(0o4751)).unwrap();
        fs_err::hard_link(at("b/file"), at("b/link")).unwrap();
        fs_err::hard_link(at("b/file"), at("a")).unwrap();
        fs_err::write(at("name\u{e9} with space"), vec![7; 100_000]).unwrap();
        symlink("../x", at("b/symlink")).unwrap();
        symlink("y".repeat(300), at("b/long-symlink")).unwrap();
        nix::unistd::mkfifo(&at("b/fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let old = TimeSpec::new(1_000_000_000, 5);
        utimensat(nix::fcntl::AT_FDCWD, &at("b/fifo"), &old, &old, UtimensatFlags::NoFollowSymlink).unwrap();
        tree
    }

    fn archive(tree: &Path) -> Vec<u8> {
        let mut out = Vec::new();
        write(tree, EPOCH, &mut out).unwrap();
        out
    }

    #[test]
    fn it_is_sorted_clamped_numeric_and_complete() {
        let tree = tree();
        let bytes = archive(tree.path());
        let mut names = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let expected = if name == "./b/fifo" { 1_000_000_000 } else { EPOCH as u64 };
            assert_eq!(header.mtime().unwrap(), expected, "{name}");
            assert_eq!(header.uid().unwrap(), u64::from(nix::unistd::geteuid().as_raw()));
            assert_eq!(header.username_bytes().unwrap(), b"");
            let link = entry.link_name_bytes().map(|link| String::from_utf8(link.into_owned()).unwrap());
            match name.as_str() {
                "./a" => {
                    assert_eq!((header.entry_type(), header.mode().unwrap()), (EntryType::Regular, 0o4751))
                }
                "./b/file" | "./b/link" => {
                    assert_eq!((header.entry_type(), link.as_deref()), (EntryType::Link, Some("./a")));
                }
                "./b/symlink" => assert_eq!(link.as_deref(), Some("../x")),
                "./b/long-symlink" => assert_eq!(link, Some("y".repeat(300))),
                "./b/fifo" => assert_eq!(header.entry_type(), EntryType::Fifo),
                _ => {}
            }
            names.push(name);
        }
        let long = format!("./long/{}/", "d".repeat(120));
        assert_eq!(
            names,
            [
                "./",
                "./a",
                "./b/",
                "./b/deep/",
                "./b/fifo",
                "./b/file",
                "./b/link",
                "./b/long-symlink",
                "./b/symlink",
                "./long/",
                &long,
                "./name\u{e9} with space",
            ]
        );
    }

    #[test]
    fn it_unpacks_to_the_same_tree_and_packs_to_the_same_bytes() {
        let tree = tree();
        let bytes = archive(tree.path());
        let other = tempfile::tempdir().unwrap();
        let mut reader = tar::Archive::new(&bytes[..]);
        reader.set_preserve_permissions(true);
        reader.set_preserve_mtime(true);
        // The library unpacks no fifos.
        for entry in reader.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.header().entry_type() != EntryType::Fifo {
                entry.unpack_in(other.path()).unwrap();
            }
        }
        fs_err::remove_file(tree.path().join("b/fifo")).unwrap();
        let root = fs_err::metadata(tree.path()).unwrap().permissions();
        fs_err::set_permissions(other.path(), root).unwrap();
        assert!(archive(tree.path()) == archive(other.path()));
    }

    #[test]
    fn attributes_travel_as_pax_records() {
        let tree = tree();
        if let Err(error) = xattr::set(tree.path().join("a"), "user.colour", b"b=l\0ue") {
            return println!("could not check: the filesystem has no attributes: {error}");
        }
        let bytes = archive(tree.path());
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path_bytes().into_owned();
            for record in entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap) {
                if record.key() == Ok("SCHILY.xattr.user.colour") {
                    found.push((name.clone(), record.value_bytes().to_vec()));
                }
            }
        }
        assert_eq!(found.len(), 1, "a hard link's attributes are those of its first name");
        assert_eq!(found[0], (b"./a".to_vec(), b"b=l\0ue".to_vec()));
    }

    #[test]
    fn what_no_field_holds_goes_into_a_record() {
        let mut extensions = Vec::new();
        let mut field = 0;
        id(4_000_000_000, "uid", &mut extensions, |id| field = id);
        assert_eq!(field, u64::from(LARGEST_ID));
        assert_eq!(extensions, [("uid".to_owned(), b"4000000000".to_vec())]);
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), "abc").unwrap();
        let mut exactly = Exactly { file: File::open(file.path()).unwrap(), left: 4 };
        assert!(exactly.read_to_end(&mut Vec::new()).is_err());
        let mut exactly = Exactly { file: File::open(file.path()).unwrap(), left: 2 };
        let mut read = Vec::new();
        exactly.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"ab");
    }
}
