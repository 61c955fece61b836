//! Static checks: the image's filesystems read in place, without mounting them, as the one tree that the system sees.

use super::{Context, Tree, expect::regex};
use crate::disk::filesystem;
use crate::error::{Context as _, Error, Result};
use ext4_view::{Ext4, Ext4Error};
use gpt::GptConfig;
use gpt::partition_types::{LINUX_FS, LINUX_ROOT_X64};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file above this is not searched for words.
const SEARCHED: u64 = 1 << 20;
/// More entries than any server has: a filesystem that claims them is damaged.
const ENTRIES: usize = 5_000_000;
/// As many links as the kernel follows (path_resolution(7)).
const LINKS: usize = 40;
/// How many paths a complaint names.
const NAMED: usize = 20;

/// What is known of an entry without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    regular: bool,
    size: u64,
}

/// The filesystems of an image as one tree, with an index of its paths.
pub struct ImageTree {
    /// By mount point, outer ones first: the root's is empty, the others' have no `/` at the end.
    filesystems: Vec<(String, Ext4)>,
    entries: BTreeMap<String, Entry>,
}

impl ImageTree {
    /// Opens the root partition (by its type in the GPT) of a raw image, read-only, and those that its fstab(5) mounts.
    pub fn open(raw: &Path) -> Result<Self> {
        let file = fs_err::File::open(raw)?;
        let disk = GptConfig::new().writable(false).open_from_device(file).map_err(|error| {
            Error::new(format!("{} has no partition table", raw.display())).because(error)
        })?;
        let sector = u64::from(*disk.logical_block_size());
        let mut partitions: Vec<_> = disk
            .partitions()
            .values()
            .filter(|partition| [LINUX_ROOT_X64, LINUX_FS].contains(&partition.part_type_guid))
            .collect();
        partitions.sort_by_key(|partition| partition.first_lba);
        let root =
            partitions.pop().ok_or_else(|| Error::new(format!("{} has no root partition", raw.display())))?;
        let reader = |first: u64| -> Result<Box<dyn ext4_view::Ext4Read>> {
            let start =
                first.checked_mul(sector).ok_or_else(|| Error::new("the partition is out of range"))?;
            Ok(Box::new(Partition { file: fs_err::File::open(raw)?, start }))
        };
        let others = partitions.iter().map(|partition| reader(partition.first_lba)).collect::<Result<_>>()?;
        Self::of(reader(root.first_lba)?, others)
    }

    fn of(root: Box<dyn ext4_view::Ext4Read>, others: Vec<Box<dyn ext4_view::Ext4Read>>) -> Result<Self> {
        let root = Ext4::load(root).map_err(unreadable)?;
        let others = others.into_iter().map(|reader| Ext4::load(reader).map_err(unreadable));
        let mut others = others.collect::<Result<Vec<Ext4>>>()?;
        let fstab = match root.read("/etc/fstab") {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => String::new(),
        };
        let mut tree = Self { filesystems: vec![(String::new(), root)], entries: BTreeMap::new() };
        tree.walk(0)?;
        for (uuid, mount) in filesystem::mounts(&fstab) {
            let found = others.iter().position(|other| other.uuid().to_string() == uuid);
            if let Some(found) = found {
                // What lies below a mount point is not seen.
                tree.entries.retain(|path, _| filesystem::below(path, &mount).is_none_or(str::is_empty));
                tree.filesystems.push((mount, others.swap_remove(found)));
                tree.walk(tree.filesystems.len() - 1)?;
            }
        }
        Ok(tree)
    }

    /// Adds what one of the filesystems holds.
    fn walk(&mut self, index: usize) -> Result<()> {
        let (mount, filesystem) = &self.filesystems[index];
        let mut left = vec!["/".to_owned()];
        while let Some(directory) = left.pop() {
            for entry in filesystem.read_dir(&directory).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let Ok(name) = entry.file_name().as_str().map(str::to_owned) else { continue };
                if name == "." || name == ".." {
                    continue;
                }
                let path = format!("{}/{name}", directory.trim_end_matches('/'));
                let metadata = entry.metadata().map_err(unreadable)?;
                let regular = metadata.file_type().is_regular_file();
                self.entries.insert(format!("{mount}{path}"), Entry { regular, size: metadata.len() });
                if metadata.is_dir() {
                    left.push(path);
                }
                if self.entries.len() > ENTRIES {
                    return Err(Error::new("the image's root filesystem has no end"));
                }
            }
        }
        Ok(())
    }

    /// The filesystem that a path is in, and the path there.
    fn place<'a>(&self, path: &'a str) -> (&Ext4, std::borrow::Cow<'a, str>) {
        let inside = |(mount, filesystem)| Some((filesystem, filesystem::below(path, mount)?));
        let found = self.filesystems.iter().rev().find_map(|(mount, filesystem)| inside((mount, filesystem)));
        match found {
            Some((filesystem, below)) => (filesystem, format!("/{below}").into()),
            // All absolute paths are below the root.
            None => (&self.filesystems[0].1, path.into()),
        }
    }

    /// How many entries it has.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// What is not as the step says, in words.
    pub(super) fn complaints(&self, step: &Tree, context: &Context) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        let paths = |pattern: &String| self.pattern(pattern, context);
        let mut tell = |paths: Vec<&str>, fault: &str| {
            if !paths.is_empty() {
                let more = if paths.len() > NAMED { " …" } else { "" };
                complaints.push(format!("{fault}: {}{more}", paths[..paths.len().min(NAMED)].join(" ")));
            }
        };
        for pattern in &step.absent {
            tell(self.matching(&paths(pattern)?, |_| true)?, "must not be there");
        }
        for pattern in &step.no_files {
            tell(self.matching(&paths(pattern)?, |entry| entry.regular)?, "must not be there as a file");
        }
        for pattern in &step.empty {
            let full = |entry: &Entry| entry.regular && entry.size > 0;
            tell(self.matching(&paths(pattern)?, full)?, "must be empty");
        }
        for pattern in &step.present {
            let pattern = paths(pattern)?;
            if self.matching(&pattern, |_| true)?.is_empty() {
                tell(vec![&pattern], "is missing");
            }
        }
        for one in &step.one_of {
            let path = paths(&one.path)?;
            let found = self.text(&path)?.unwrap_or_default();
            let contents = one.contents.iter().map(|text| context.fill(text)).collect::<Result<Vec<_>>>()?;
            if !contents.iter().any(|content| content.trim() == found.trim()) {
                let shown: String = found.trim().chars().take(80).collect();
                tell(vec![&path], &format!("contains '{shown}', wanted one of {contents:?}"));
            }
        }
        for lacks in &step.lacks {
            let files = lacks.files.iter().map(paths).collect::<Result<Vec<_>>>()?;
            for word in &lacks.words {
                let word = context.fill(word)?;
                if !word.is_empty() {
                    tell(self.containing(&files, &word)?, &format!("must not contain '{word}'"));
                }
            }
        }
        Ok(complaints)
    }

    /// A pattern, filled in, for paths as they are in the tree: the directories in front of its first `*` may be links, as
    /// /bin and /lib are.
    fn pattern(&self, pattern: &str, context: &Context) -> Result<String> {
        let filled = context.fill(pattern)?;
        if !filled.starts_with('/') {
            return Err(Error::usage(format!("`{pattern}` comes out as '{filled}', which is no path")));
        }
        let fixed = filled.split('*').next().unwrap_or_default();
        let directory = fixed.rsplit_once('/').map_or("", |(directory, _)| directory);
        Ok(self.real(directory)? + &filled[directory.len()..])
    }

    /// Where a directory is, past all links on the way; the same when it is nowhere.
    fn real(&self, directory: &str) -> Result<String> {
        let mut path = directory.to_owned();
        for _ in 0..LINKS {
            let Some((end, target)) = self.first_link(&path)? else { break };
            let place = joined(&path[..end], &target);
            path = format!("{}{}", place.trim_end_matches('/'), &path[end..]);
        }
        Ok(path)
    }

    /// The first link on the way to a directory: where its name ends in the path, and where it leads.
    fn first_link(&self, path: &str) -> Result<Option<(usize, String)>> {
        let inner = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
        for end in inner.chain([path.len()]).filter(|end| *end > 0) {
            let (filesystem, name) = self.place(&path[..end]);
            match filesystem.symlink_metadata(&*name) {
                Ok(metadata) if metadata.is_symlink() => {
                    let target = filesystem.read_link(&*name).map_err(unreadable)?;
                    let target = target.to_str().map_err(|error| Error::new(error.to_string()))?;
                    return Ok(Some((end, target.to_owned())));
                }
                Ok(_) => {}
                Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => return Ok(None),
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(None)
    }

    fn matching(&self, pattern: &str, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<&str>> {
        let regex = regex(&translate(pattern))?;
        Ok(self
            .entries
            .iter()
            .filter(|(path, entry)| wanted(entry) && regex.is_match(path))
            .map(|(path, _)| path.as_str())
            .collect())
    }

    fn text(&self, path: &str) -> Result<Option<String>> {
        let reading = |error| unreadable(error).doing(format!("reading {path} in the image"));
        let mut path_now = path.to_owned();
        // A link at the end may lead into another filesystem.
        for _ in 0..LINKS {
            let (filesystem, inner) = self.place(&path_now);
            match filesystem.symlink_metadata(&*inner) {
                Ok(metadata) if metadata.is_symlink() => {
                    let target = filesystem.read_link(&*inner).map_err(reading)?;
                    let target = target.to_str().map_err(|error| Error::new(error.to_string()))?;
                    path_now = joined(&path_now, target);
                }
                Ok(_) => {
                    return match filesystem.read(&*inner) {
                        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
                        Err(error) => Err(reading(error)),
                    };
                }
                Err(Ext4Error::NotFound) => return Ok(None),
                Err(error) => return Err(reading(error)),
            }
        }
        Ok(None)
    }

    fn containing(&self, patterns: &[String], word: &str) -> Result<Vec<&str>> {
        let whole = ::regex::bytes::Regex::new(&format!(r"\b{}\b", ::regex::escape(word)))
            .map_err(|error| Error::new(error.to_string()))?;
        let mut found = Vec::new();
        for pattern in patterns {
            for path in self.matching(pattern, |entry| entry.regular && entry.size <= SEARCHED)? {
                let (filesystem, inner) = self.place(path);
                let bytes = filesystem.read(&*inner).map_err(unreadable).doing_with(|| path.to_owned())?;
                if whole.is_match(&bytes) {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }
}

/// Where a link leads, from the path that it has.
fn joined(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let path =
        parts.iter().filter(|part| !part.is_empty()).fold(String::new(), |path, part| path + "/" + part);
    if path.is_empty() { "/".into() } else { path }
}

/// A path pattern as a regular expression: `*` within a name, `**` across names.
fn translate(pattern: &str) -> String {
    let mut out = String::from(r"\A");
    let mut rest = pattern;
    while let Some(at) = rest.find('*') {
        out.push_str(&::regex::escape(&rest[..at]));
        rest = &rest[at + 1..];
        match rest.strip_prefix('*') {
            Some(after) => {
                out.push_str(".*");
                rest = after;
            }
            None => out.push_str("[^/]*"),
        }
    }
    out + &::regex::escape(rest) + r"\z"
}

/// One partition of the image as a device of its own.
struct Partition {
    file: fs_err::File,
    start: u64,
}

impl ext4_view::Ext4Read for Partition {
    fn read(
        &mut self,
        start: u64,
        to: &mut [u8],
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        let at = self.start.checked_add(start).ok_or("an offset is out of range")?;
        Ok(self.file.file().read_exact_at(to, at)?)
    }
}

fn unreadable(error: Ext4Error) -> Error {
    Error::new("the image's root filesystem cannot be read").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::{lock, plan};

    const UUID: &str = "0f6f2f5a-c191-4d44-b5e8-c3a0d7e64f1b";

    fn tree(files: &[(&str, &str)]) -> ImageTree {
        ImageTree::of(Box::new(filesystem(files)), Vec::new()).unwrap()
    }

    /// An ext4 filesystem made by the host's mke2fs.
    fn filesystem(files: &[(&str, &str)]) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        for (path, text) in files {
            let path = root.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/machine-id", root.join("link")).unwrap();
        let image = directory.path().join("image");
        fs_err::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        duct::cmd!("/sbin/mke2fs", "-q", "-t", "ext4", "-U", UUID, "-d", &root, &image).run().unwrap();
        fs_err::read(&image).unwrap()
    }

    fn complaints(tree: &ImageTree, step: &str) -> Vec<String> {
        let context = Context::new(&plan(), &lock(), Some("buildbox7"));
        tree.complaints(&toml::from_str(step).unwrap(), &context).unwrap()
    }

    #[test]
    #[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
    fn an_image_with_identity_is_seen_through() {
        let dirty = [
            ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("etc/ssh/ssh_host_ed25519_key", "key"),
            ("etc/hosts", "127.0.1.1 buildbox7.example\n"),
            ("etc/other", "xbuildbox77"),
            ("var/log/apt/history.log", "Start-Date"),
            ("var/log/empty", ""),
        ];
        let tree = tree(&dirty);
        let told = complaints(&tree, "absent = ['/etc/ssh/ssh_host_*']");
        assert_eq!(told, ["must not be there: /etc/ssh/ssh_host_ed25519_key"]);
        assert_eq!(complaints(&tree, "empty = ['/var/log/**']"), ["must be empty: /var/log/apt/history.log"]);
        let wanted = "[[one-of]]\npath = '/etc/machine-id'\ncontents = ['', 'uninitialized']";
        assert!(complaints(&tree, wanted)[0].contains("0123456789abcdef"));
        let word = "[[lacks]]\nfiles = ['/etc/**']\nwords = ['{{build.hostname}}', '']";
        assert_eq!(complaints(&tree, word), ["must not contain 'buildbox7': /etc/hosts"]);
        assert_eq!(complaints(&tree, "present = ['/etc/nothing']"), ["is missing: /etc/nothing"]);
    }

    #[test]
    #[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
    fn what_fstab_mounts_is_seen_and_what_it_covers_is_not() {
        let fstab = format!("UUID=x / ext4\nUUID={UUID} /var/log ext4 nodev 0 2\n");
        let root = [("etc/fstab", fstab.as_str()), ("var/log/covered", "x"), ("etc/machine-id", "none\n")];
        let log = [("audit/audit.log", "buildbox7"), ("machine-id", "other")];
        let (root, log) = (filesystem(&root), filesystem(&log));
        let tree = ImageTree::of(Box::new(root), vec![Box::new(log)]).unwrap();
        let step =
            "absent = ['/var/log/covered']\npresent = ['/var/log/audit/audit.log', '/var/log/lost+found']";
        assert_eq!(complaints(&tree, step), [""; 0]);
        assert_eq!(
            complaints(&tree, "empty = ['/var/log/a**']"),
            ["must be empty: /var/log/audit/audit.log"]
        );
        let word = "[[lacks]]\nfiles = ['/var/**']\nwords = ['{{build.hostname}}']";
        assert_eq!(complaints(&tree, word), ["must not contain 'buildbox7': /var/log/audit/audit.log"]);
        // A link of the inner filesystem leads where the system would follow it, and so does one of the root.
        for path in ["/link", "/var/log/link"] {
            let wanted = format!("[[one-of]]\npath = '{path}'\ncontents = ['none']");
            assert_eq!(complaints(&tree, &wanted), [""; 0], "{path}");
        }
    }

    #[test]
    #[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
    fn a_pattern_is_filled_in_and_leads_over_links() {
        // Its name leads to /etc/machine-id, which stands for a directory here.
        let tree = tree(&[("etc/machine-id/tool", "x"), ("srv/admin/key", "x")]);
        let there = "must not be there";
        for (pattern, path) in [
            ("/link/tool", "/etc/machine-id/tool"),
            ("/link/*", "/etc/machine-id/tool"),
            ("/link", "/link"),
            ("/srv/{{user.name}}/*", "/srv/admin/key"),
        ] {
            let told = complaints(&tree, &format!("absent = ['{pattern}']"));
            assert_eq!(told, [format!("{there}: {path}")], "{pattern}");
        }
        assert_eq!(complaints(&tree, "absent = ['/link/other', '/nowhere/x', '/srv/admin/key/x']"), [""; 0]);
        let context = Context::new(&plan(), &lock(), None);
        let no_path = toml::from_str("absent = ['{{user.name}}/x']").unwrap();
        assert_eq!(tree.complaints(&no_path, &context).unwrap_err().exit(), crate::error::Exit::Usage);
    }

    #[test]
    fn links_lead_where_the_system_follows_them() {
        for (link, target, wanted) in [
            ("/a/b", "c", "/a/c"),
            ("/a/b", "../../../c", "/c"),
            ("/a/b", "/x/./y/", "/x/y"),
            ("/a", "/", "/"),
        ] {
            assert_eq!(joined(link, target), wanted);
        }
    }

    #[test]
    #[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
    fn a_clean_image_has_no_complaints() {
        let tree = tree(&[("etc/machine-id", "uninitialized\n"), ("var/log/empty", "")]);
        let step =
            "absent = ['/var/log/*.log']\nno-files = ['/link']\nempty = ['/var/log/**']\npresent = ['/link']";
        assert_eq!(complaints(&tree, step), [""; 0]);
        let missing = "[[one-of]]\npath = '/etc/hostname'\ncontents = ['']";
        assert_eq!(complaints(&tree, missing), [""; 0]);
    }

    #[test]
    fn patterns_do_not_cross_directories_unless_doubled() {
        let matches = |pattern: &str, path: &str| regex(&translate(pattern)).unwrap().is_match(path);
        assert!(matches("/a/*.log", "/a/x.log") && !matches("/a/*.log", "/a/b/x.log"));
        assert!(matches("/a/**", "/a/b/c") && !matches("/a/**", "/ab"));
        assert!(!matches("/a.b", "/axb") && !matches("/a", "/a/b"));
    }

    #[test]
    fn garbage_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), vec![7; 1 << 16]).unwrap();
        assert!(ImageTree::open(file.path()).is_err());
        assert!(ImageTree::of(Box::new(vec![0xff; 1 << 16]), Vec::new()).is_err());
    }
}
