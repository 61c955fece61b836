//! Two FAT filesystems by their bytes, after their files were compared: what the files do not explain.

use super::measures::Bits;
use super::places::Place;
use super::{Filesystem, directory};
use crate::diff::findings::{Changed, Findings, count};
use crate::diff::le::{self, Field};
use crate::diff::raw;
use crate::diff::text::printable;
use crate::diff::tree::{Body, Kind};
use crate::disk::sparse::is_zero;
use crate::error::Result;

/// Names of what is told with the partition.
const TOLD: [&str; 1] = ["serial number"];

/// Fields of the boot sector that all kinds have.
const BOOT: &[Field] = &[
    (0, 3, "jump"),
    (3, 8, "name of the maker"),
    (11, 2, "bytes per sector"),
    (13, 1, "sectors per cluster"),
    (14, 2, "reserved sectors"),
    (16, 1, "number of FATs"),
    (17, 2, "root directory size"),
    (19, 2, "number of sectors"),
    (21, 1, "medium"),
    (22, 2, "sectors per FAT"),
    (24, 4, "disk geometry"),
    (28, 4, "hidden sectors"),
    (32, 4, "number of sectors"),
    (510, 2, "signature"),
];
/// Those of FAT32.
const BOOT_32: &[Field] = &[
    (36, 4, "sectors per FAT"),
    (40, 2, "flags"),
    (42, 2, "version"),
    (44, 4, "first cluster of the root directory"),
    (48, 2, "place of the information sector"),
    (50, 2, "place of the boot sector's copy"),
    (64, 1, "drive number"),
    (65, 1, "state"),
    (66, 1, "extended signature"),
    (67, 4, "serial number"),
    (71, 11, "label in the boot sector"),
    (82, 8, "name of the filesystem"),
    (90, 420, "boot code"),
];
/// Those of FAT12 and FAT16.
const BOOT_16: &[Field] = &[
    (36, 1, "drive number"),
    (37, 1, "state"),
    (38, 1, "extended signature"),
    (39, 4, "serial number"),
    (43, 11, "label in the boot sector"),
    (54, 8, "name of the filesystem"),
    (62, 448, "boot code"),
];
/// Fields of the information sector.
const INFORMATION: &[Field] = &[
    (0, 4, "signature"),
    (484, 4, "signature"),
    (488, 4, "free clusters count"),
    (492, 4, "next free cluster"),
    (508, 4, "signature"),
];

/// Tells the differences that `changed`, the differences between the trees, does not explain.
pub fn compare(a: &Filesystem, b: &Filesystem, changed: &Changed, findings: &mut Findings) -> Result<()> {
    let mut pair = Pair { a, b, changed, findings };
    pair.moved_records();
    if a.measures.same_measures(&b.measures) {
        return pair.bytes();
    }
    pair.boot_sector(0, Place::Boot, &a.measures.boot, &b.measures.boot);
    pair.findings.notes.push(
        "the two filesystems have different measures: their free space and internal structures were not compared"
            .into(),
    );
    Ok(())
}

struct Pair<'a> {
    a: &'a Filesystem,
    b: &'a Filesystem,
    changed: &'a Changed,
    findings: &'a mut Findings,
}

impl Pair<'_> {
    /// Files whose records lie at different places.
    fn moved_records(&mut self) {
        for file in &self.a.files {
            let other = self.b.files.iter().find(|other| other.path == file.path);
            let Some((other, (mine, theirs))) =
                other.and_then(|other| Some((other, file.record.as_ref().zip(other.record.as_ref())?)))
            else {
                continue;
            };
            if file.place == other.place {
                continue;
            }
            for (name, range) in le::differing(directory::FIELDS, &mine.bytes, &theirs.bytes) {
                let told = directory::TOLD.contains(&name) && self.changed.has(&file.path);
                if !told && name != directory::CLUSTER {
                    let start = file.place + range.start as u64;
                    self.findings.tell_apart(
                        start..start + range.len() as u64,
                        other.place + range.start as u64,
                        count(&mine.bytes, &theirs.bytes, &range),
                        format!("record of {}: {name}", printable(&file.path)),
                    );
                }
            }
            if !self.changed.allocation() {
                self.findings.tell_apart(
                    file.place..file.place + directory::RECORD as u64,
                    other.place,
                    0,
                    format!("record of {}: its place", printable(&file.path)),
                );
            }
        }
    }

    fn bytes(&mut self) -> Result<()> {
        let (source_a, source_b) = (&*self.a.source, &*self.b.source);
        let (places_a, places_b) = (self.a.places(), self.b.places());
        for chunk in raw::chunks(source_a, source_b)? {
            let end = (chunk.offset + raw::CHUNK as u64).min(source_a.size()).min(source_b.size());
            let bytes_a = source_a.bytes(chunk.offset..end, raw::CHUNK)?;
            let bytes_b = source_b.bytes(chunk.offset..end, raw::CHUNK)?;
            for (range, place_a) in places_a.within(chunk.offset..end) {
                for (range, place_b) in places_b.within(range) {
                    let inside = (range.start - chunk.offset) as usize..(range.end - chunk.offset) as usize;
                    let (part_a, part_b) = (&bytes_a[inside.clone()], &bytes_b[inside]);
                    if part_a != part_b {
                        self.part(range.start, place_a.copied(), place_b.copied(), part_a, part_b)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        offset: u64,
        place_a: Option<Place>,
        place_b: Option<Place>,
        a: &[u8],
        b: &[u8],
    ) -> Result<()> {
        match (place_a, place_b) {
            (Some(Place::Boot), Some(Place::Boot)) => self.boot_sector(offset, Place::Boot, a, b),
            (Some(Place::BootCopy), Some(Place::BootCopy)) => {
                self.boot_sector(offset, Place::BootCopy, a, b);
            }
            (
                Some(place @ (Place::Information | Place::InformationCopy)),
                Some(Place::Information | Place::InformationCopy),
            ) => {
                let follows = |name: &str| name.contains("cluster") && self.changed.allocation();
                let fields = le::differing(INFORMATION, a, b);
                let fields: Vec<_> = fields.into_iter().map(|(name, at)| (name, at, follows(name))).collect();
                self.fields(offset, &self.a.describe(Some(place)), fields, a, b);
            }
            (Some(Place::Table(0)), Some(Place::Table(0))) => self.table(offset, a, b),
            (Some(Place::Table(one)), Some(Place::Table(other))) if one == other => {
                let length = self.a.measures.table.end - self.a.measures.table.start;
                let range = offset - one * length..offset - one * length + a.len() as u64;
                let follows = self.a.source.bytes(range.clone(), a.len())? == a
                    && self.b.source.bytes(range, b.len())? == b;
                self.whole(offset, follows, &self.a.describe(place_a), a, b);
            }
            (Some(Place::Directory(one)), Some(Place::Directory(other)))
                if self.a.files[one].path == self.b.files[other].path =>
            {
                self.records(offset, &self.a.describe(place_a), a, b);
            }
            _ => self.other(offset, place_a, place_b, a, b),
        }
        Ok(())
    }

    fn whole(&mut self, offset: u64, follows: bool, place: &str, a: &[u8], b: &[u8]) {
        if follows {
            self.findings.explain(count(a, b, &(0..a.len())));
        } else {
            self.findings.tell_all(offset, a, b, place);
        }
    }

    fn fields(
        &mut self,
        offset: u64,
        place: &str,
        fields: Vec<(&str, std::ops::Range<usize>, bool)>,
        a: &[u8],
        b: &[u8],
    ) {
        for (name, range, follows) in fields {
            let count = count(a, b, &range);
            if follows {
                self.findings.explain(count);
            } else {
                let (start, end) = (offset + range.start as u64, offset + range.end as u64);
                self.findings.tell(start..end, count, format!("{place}: {name}"));
            }
        }
    }

    fn boot_sector(&mut self, offset: u64, place: Place, a: &[u8], b: &[u8]) {
        let special = if self.a.measures.bits == Bits::ThirtyTwo { BOOT_32 } else { BOOT_16 };
        let known = [BOOT, special].concat();
        let first = le::differing(&known, &self.a.measures.boot, &self.b.measures.boot);
        let follows = |name: &str| match place {
            Place::BootCopy => first.iter().any(|(other, _)| *other == name),
            _ => TOLD.contains(&name),
        };
        let fields = le::differing(&known, a, b);
        let fields = fields.into_iter().map(|(name, at)| (name, at, follows(name))).collect();
        self.fields(offset, &self.a.describe(Some(place)), fields, a, b);
    }

    fn table(&mut self, offset: u64, a: &[u8], b: &[u8]) {
        let width = match self.a.measures.bits {
            Bits::Twelve => return self.whole(offset, self.changed.allocation(), "FAT 1", a, b),
            Bits::Sixteen => 2,
            Bits::ThirtyTwo => 4,
        };
        let first = (offset - self.a.measures.table.start) / width as u64;
        for (slot, (a, b)) in a.chunks(width).zip(b.chunks(width)).enumerate().filter(|(_, (a, b))| a != b) {
            let cluster = first + slot as u64;
            let owners = [owner(self.a, cluster), owner(self.b, cluster)];
            // Who has a cluster follows from what the files are, unless nothing about any file differs.
            let follows = self.changed.allocation() && owners.iter().any(Option::is_some);
            let of = owners.into_iter().flatten().next();
            let of = of.map(|path| format!(" of {}", printable(path))).unwrap_or_default();
            self.whole(
                offset + (slot * width) as u64,
                follows,
                &format!("FAT 1: cluster {cluster}{of}"),
                a,
                b,
            );
        }
    }

    fn records(&mut self, offset: u64, directory: &str, a: &[u8], b: &[u8]) {
        let pairs = a.chunks(directory::RECORD).zip(b.chunks(directory::RECORD));
        for (slot, (a, b)) in pairs.enumerate().filter(|(_, (a, b))| a != b) {
            let place = offset + (slot * directory::RECORD) as u64;
            let (name_a, name_b) = (self.a.records.get(&place), self.b.records.get(&place));
            match (name_a, name_b) {
                (Some(name), Some(other)) if name == other => self.record(place, name, a, b),
                _ => {
                    // A record is compared by its path; a free one is what was left behind.
                    let sound =
                        |fs: &Filesystem, mine: Option<&String>, bytes: &[u8], theirs: Option<&String>| {
                            let gone = theirs.is_some_and(|path| self.changed.of(path.as_bytes()).presence);
                            let is_path =
                                mine.is_some_and(|path| fs.tree.entries.contains_key(path.as_bytes()));
                            is_path || is_zero(bytes) || gone
                        };
                    let follows = sound(self.a, name_a, a, name_b) && sound(self.b, name_b, b, name_a);
                    self.whole(place, follows, directory, a, b);
                }
            }
        }
    }

    fn record(&mut self, place: u64, name: &str, a: &[u8], b: &[u8]) {
        let file = self.a.files.iter().find(|file| file.place == place);
        let Some(file) = file else {
            let what = if name.ends_with("/.") || name.ends_with("/..") || name.starts_with("the ") {
                format!("record of {name}")
            } else {
                format!("long name of {name}")
            };
            let fields = le::differing(directory::FIELDS, a, b);
            let label = |field: &str| name.starts_with("the ") && field == "short name";
            let fields = fields.into_iter().map(|(field, at)| (field, at, label(field))).collect();
            return self.fields(place, &what, fields, a, b);
        };
        let of = self.changed.of(&file.path);
        let is_file = self.a.tree.entries.get(&file.path).is_some_and(|entry| entry.kind == Kind::File);
        let follows = |field: &str| match field {
            "size" => is_file && self.changed.has(&file.path),
            directory::CLUSTER => of.content || of.kind || self.changed.allocation(),
            field => directory::TOLD.contains(&field) && self.changed.has(&file.path),
        };
        let fields = le::differing(directory::FIELDS, a, b);
        let fields = fields.into_iter().map(|(field, at)| (field, at, follows(field))).collect();
        self.fields(place, &format!("record of {name}"), fields, a, b);
    }

    fn other(&mut self, offset: u64, place_a: Option<Place>, place_b: Option<Place>, a: &[u8], b: &[u8]) {
        for run in le::runs(a, b) {
            let (part_a, part_b) = (&a[run.clone()], &b[run.clone()]);
            let sound = self.accounted(self.a, place_a, part_a) && self.accounted(self.b, place_b, part_b);
            let count = count(a, b, &run);
            if sound {
                self.findings.explain(count);
                continue;
            }
            let (name_a, name_b) = (self.a.describe(place_a), self.b.describe(place_b));
            let place = if name_a == name_b { name_a } else { format!("{name_a} in A, {name_b} in B") };
            self.findings.tell(offset + run.start as u64..offset + run.end as u64, count, place);
        }
    }

    /// Whether bytes at a place say nothing that was not compared already.
    fn accounted(&self, fs: &Filesystem, place: Option<Place>, bytes: &[u8]) -> bool {
        match place {
            None | Some(Place::Slack(_)) => is_zero(bytes),
            Some(Place::Content(number)) => {
                let entry = fs.tree.entries.get(&fs.files[number].path);
                entry.is_some_and(|entry| matches!(entry.body, Body::Stored(_)))
            }
            // What lies between the records of a directory that is in both is not compared by path.
            Some(Place::Directory(number)) => {
                is_zero(bytes) || self.changed.of(&fs.files[number].path).presence
            }
            _ => false,
        }
    }
}

/// The path of the file that a cluster belongs to.
fn owner(fs: &Filesystem, cluster: u64) -> Option<&[u8]> {
    let start = fs.measures.data + cluster.checked_sub(2)? * fs.measures.cluster;
    let file = fs.files.iter().find(|file| file.clusters.iter().any(|range| range.contains(&start)))?;
    Some(&file.path)
}
