//! The comparison itself: from two opened images to a report.

use super::archive::{self, Archive};
use super::disks::{self, Disk};
use super::files::{self, Scope};
use super::findings::{Changed, Findings};
use super::image::{Container, Image, Kind};
use super::packages;
use super::people::People;
use super::raw;
use super::report::{ByteRange, Report, Side, VERSION, Verdict};
use super::source::ReadAt;
use super::text::{count as count_of, printable};
use super::tree::{Body, Kind as EntryKind, Tree, is_below};
use super::{Options, summary};
use crate::error::{Context, Error, Result};

/// Name of the root filesystem in reports.
pub const ROOT: &str = "root";
/// How paths are written.
const PATHS: &str =
    "paths begin with `/` in the root filesystem, and with the partition's name in others: `esp:/EFI`";

/// Compares two images that are open.
pub fn compare(a: &Image, b: &Image, options: &Options) -> Result<Report> {
    if let Some(wrong) = options.only.iter().find(|path| !path.starts_with('/') && !path.contains(":/")) {
        return Err(Error::usage(format!("`{wrong}` is no path in an image")).hint(PATHS));
    }
    let mut report = empty(a, b, options);
    if raw::equal(&**a.stored(), &**b.stored()).doing("comparing the images")? {
        return identical(report, &**a.stored());
    }
    let (content_a, content_b) = rayon::join(|| a.content(), || b.content());
    let (content_a, content_b) = (content_a?, content_b?);
    if a.kind == b.kind && raw::equal(&*content_a, &*content_b).doing("comparing the images")? {
        if a.container != b.container {
            return identical(report, &*content_a);
        }
        // Below a path nothing differs; whether it is there at all is seen further on.
        if options.only.is_empty() {
            report.bytes.push(stored(a, b)?);
            return Ok(summary::finish(report, 0));
        }
    }
    let mut gathering = Gathering { report, options, paths: 0 };
    match (a.kind, b.kind) {
        (Kind::Disk, Kind::Disk) => {
            let (a, b) = rayon::join(|| Disk::read(&content_a), || Disk::read(&content_b));
            disks::compare(a, b, &mut gathering)?;
        }
        (Kind::Archive, Kind::Archive) => {
            let (a, b) =
                rayon::join(|| Archive::read(content_a.clone()), || Archive::read(content_b.clone()));
            gathering.archives(&a?, &b?)?;
        }
        (Kind::Disk, Kind::Archive) => {
            gathering.mixed(Disk::read(&content_a), Archive::read(content_b.clone())?, false)?;
        }
        (Kind::Archive, Kind::Disk) => {
            gathering.mixed(Disk::read(&content_b), Archive::read(content_a.clone())?, true)?;
        }
    }
    if !options.only.is_empty() && gathering.paths == 0 {
        let (below, notes) = (options.only.join(", "), &gathering.report.notes);
        let error = match notes.is_empty() {
            true => Error::usage(format!("neither image has anything below {below}")),
            false => Error::usage(format!("nothing below {below} could be compared")),
        };
        return Err(notes.iter().fold(error, |error, note| error.because(note)).hint(PATHS));
    }
    let Gathering { mut report, paths, .. } = gathering;
    // Above all: what differs is never told to be the same, even if no place was found to blame.
    if a.kind == b.kind && options.only.is_empty() && summary::is_empty(&report) {
        let start = raw::first_difference(&*content_a, &*content_b)?.unwrap_or_default();
        report.bytes.push(ByteRange {
            start,
            end: start + 1,
            start_b: None,
            count: 1,
            partition: None,
            place: "a place that goldcast has no name for, the first of perhaps several".into(),
        });
    }
    Ok(summary::finish(report, paths))
}

fn empty(a: &Image, b: &Image, options: &Options) -> Report {
    let side = |image: &Image| Side {
        path: image.path.display().to_string(),
        kind: image.kind,
        container: image.container,
        size: image.stored().size(),
    };
    Report {
        version: VERSION,
        a: side(a),
        b: side(b),
        verdict: Verdict::Different,
        summary: String::new(),
        sha256: None,
        only: options.only.clone(),
        notes: Vec::new(),
        partitions: Vec::new(),
        packages: Vec::new(),
        files: Vec::new(),
        bytes: Vec::new(),
        explained_bytes: 0,
    }
}

fn identical(mut report: Report, source: &dyn ReadAt) -> Result<Report> {
    report.verdict = Verdict::Identical;
    report.sha256 = Some(raw::sha256(source)?);
    Ok(summary::finish(report, 0))
}

/// Two files that store the same in the same format, and yet differ.
fn stored(a: &Image, b: &Image) -> Result<ByteRange> {
    let (stored_a, stored_b) = (&**a.stored(), &**b.stored());
    let both: u64 = raw::chunks(stored_a, stored_b)?.iter().map(|chunk| chunk.bytes).sum();
    let place = match a.container {
        Container::Gzip => "gzip stream; what it unpacks to is the same",
        Container::Zstandard => "zstd stream; what it unpacks to is the same",
        Container::Xz => "xz stream; what it unpacks to is the same",
        Container::Plain | Container::Qcow2 => "qcow2 file; the disk in it is the same",
    };
    Ok(ByteRange {
        start: raw::first_difference(stored_a, stored_b)?.unwrap_or_default(),
        end: stored_a.size().max(stored_b.size()),
        start_b: None,
        count: both + stored_a.size().abs_diff(stored_b.size()),
        partition: None,
        place: place.into(),
    })
}

/// The report in the making.
pub struct Gathering<'a> {
    /// What was found so far.
    pub report: Report,
    options: &'a Options,
    /// How many paths were compared.
    paths: usize,
}

impl Gathering<'_> {
    /// Whether all is compared, not only the files below some paths.
    pub fn everything(&self) -> bool {
        self.options.only.is_empty()
    }

    /// Compares the packages of two root filesystems.
    pub fn packages(&mut self, a: &Tree, b: &Tree) {
        if self.everything() {
            self.report.packages = packages::differences(a, b);
        }
    }

    /// Compares two trees; `name` is the filesystem's.
    pub fn trees(&mut self, name: &str, (a, b): (&Tree, &Tree), people: &People) -> Result<Changed> {
        let only: Vec<Vec<u8>> = self.options.only.iter().filter_map(|path| scope(path, name)).collect();
        if only.is_empty() && !self.everything() {
            return Ok(Changed::default());
        }
        let scope = Scope { filesystem: name, only, stat: self.options.stat };
        let count = |tree: &Tree| tree.entries.keys().filter(|path| scope.has(path)).count();
        self.paths += count(a).max(count(b));
        let (side_a, side_b) = people.sides(a, b);
        let (files, changed) = files::differences(&side_a, &side_b, &scope)?;
        self.report.files.extend(files);
        // Two files of which neither can be read are not told to differ. Nor are they the same.
        let mut blind =
            a.entries.iter().filter(|(path, _)| scope.has(path)).filter_map(|(path, entry)| {
                match (&entry.body, &b.entries.get(path)?.body) {
                    (Body::Unreadable(why), Body::Unreadable(_)) => Some((path, why)),
                    _ => None,
                }
            });
        if let Some((path, why)) = blind.next() {
            let of = if name == ROOT { String::new() } else { format!("{name}:") };
            let more = match blind.count() {
                0 => String::new(),
                more => format!(" (and of {})", count_of(more, "other file", "other files")),
            };
            self.report.notes.push(format!(
                "{of}{}: the content{more} can be read in neither image, and was not compared as a file: {why}",
                printable(path)
            ));
        }
        Ok(changed)
    }

    /// Compares two trees whose differences are told elsewhere, to know which bytes these explain.
    pub fn untold(&self, (a, b): (&Tree, &Tree)) -> Result<Changed> {
        if !self.everything() {
            return Ok(Changed::default());
        }
        let people = People::none();
        let (side_a, side_b) = people.sides(a, b);
        let scope = Scope { filesystem: ROOT, only: Vec::new(), stat: true };
        files::differences(&side_a, &side_b, &scope).map(|(_, changed)| changed)
    }

    /// Adds what a comparison of bytes found, in a partition that starts at these offsets of the two disks.
    pub fn bytes(&mut self, findings: Findings, partition: Option<u32>, starts: (u64, u64)) {
        self.report.explained_bytes += findings.explained;
        let of = partition.map(|number| format!("partition {number}: ")).unwrap_or_default();
        self.report.notes.extend(findings.notes.iter().map(|note| format!("{of}{note}")));
        self.report.bytes.extend(findings.told.into_iter().map(|finding| {
            let start = starts.0 + finding.range.start;
            let start_b = starts.1 + finding.start_b.unwrap_or(finding.range.start);
            ByteRange {
                start,
                end: starts.0 + finding.range.end,
                start_b: (start_b != start).then_some(start_b),
                count: finding.count,
                partition,
                place: finding.place,
            }
        }));
    }

    fn note(&mut self, side: &str, notes: &[String]) {
        self.report.notes.extend(notes.iter().map(|note| format!("{side}: {note}")));
    }

    fn archives(&mut self, a: &Archive, b: &Archive) -> Result<()> {
        self.note("A", &a.problems);
        self.note("B", &b.problems);
        self.packages(&a.tree, &b.tree);
        let changed = self.trees(ROOT, (&a.tree, &b.tree), &People::of(&a.tree, &b.tree))?;
        if self.everything() {
            let mut findings = Findings::default();
            archive::compare(a, b, &changed, &mut findings)?;
            self.bytes(findings, None, (0, 0));
        }
        Ok(())
    }

    /// A disk's root filesystem and an archive; `swapped` when the archive is the first image.
    fn mixed(&mut self, disk: Disk, archive: Archive, swapped: bool) -> Result<()> {
        let (disk_side, archive_side) = if swapped { ("B", "A") } else { ("A", "B") };
        self.note(disk_side, &disk.notes());
        self.note(archive_side, &archive.problems);
        let (mut tree, own) = disk.into_tree()?;
        // What an archive cannot hold, and what is the filesystems' own.
        let children = |own: &Vec<u8>| tree.entries.keys().any(|path| path != own && is_below(path, own));
        let own: Vec<Vec<u8>> = own.into_iter().filter(|own| !children(own)).collect();
        tree.entries.retain(|path, entry| entry.kind != EntryKind::Socket && !own.contains(path));
        let (a, b) = if swapped { (&archive.tree, &tree) } else { (&tree, &archive.tree) };
        self.packages(a, b);
        self.trees(ROOT, (a, b), &People::of(a, b))?;
        Ok(())
    }
}

/// What a path given by the user means in a filesystem, if it is in it.
fn scope(path: &str, filesystem: &str) -> Option<Vec<u8>> {
    let path = match path.starts_with('/') {
        true if filesystem == ROOT => path,
        true => return None,
        false => path.strip_prefix(filesystem)?.strip_prefix(':')?,
    };
    let path = path.trim_end_matches('/');
    Some(if path.is_empty() { b"/".to_vec() } else { path.as_bytes().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_belongs_to_its_filesystem() {
        let path = |path: &str, filesystem: &str| {
            scope(path, filesystem).map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(path("/etc/", ROOT).as_deref(), Some("/etc"));
        assert_eq!(path("/", ROOT).as_deref(), Some("/"));
        assert_eq!(path("root:/etc", ROOT).as_deref(), Some("/etc"));
        assert_eq!(path("/etc", "esp"), None);
        assert_eq!(path("esp:/EFI", "esp").as_deref(), Some("/EFI"));
        assert_eq!(path("esp:/EFI", ROOT), None);
    }

    /// An archive with one file, and the whole as zstd, cut into frames of some bytes.
    fn opened(frame: usize) -> (tempfile::NamedTempFile, Image) {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.set_size(5);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, "etc/x", &b"text\n"[..]).unwrap();
        let bytes = archive.into_inner().unwrap();
        let frames: Vec<Vec<u8>> =
            bytes.chunks(frame).map(|bytes| zstd::encode_all(bytes, 1).unwrap()).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), frames.concat()).unwrap();
        let image = Image::open(file.path()).unwrap();
        (file, image)
    }

    #[test]
    fn another_compression_is_no_difference_below_a_path() {
        let ((_a, a), (_b, b)) = (opened(1 << 20), opened(1024));
        let whole = compare(&a, &b, &Options::default()).unwrap();
        assert_eq!((whole.verdict, whole.bytes.len()), (Verdict::Different, 1));
        assert!(whole.bytes[0].place.starts_with("zstd stream"), "{}", whole.bytes[0].place);
        let only = |path: &str| compare(&a, &b, &Options { only: vec![path.into()], stat: false });
        let report = only("/etc").unwrap();
        assert_eq!((report.verdict, report.bytes.len()), (Verdict::SameThere, 0));
        assert_eq!(report.summary, "no difference below /etc (1 path); the images differ elsewhere");
        assert!(only("/etcc").unwrap_err().what().starts_with("neither image has anything"));
    }
}
