//! What every byte of a FAT volume is for.

use super::Filesystem;
use super::measures::Bits;
use crate::diff::atlas::Atlas;
use crate::diff::le::u16_at;
use crate::diff::text::printable;
use std::ops::Range;

/// What a stretch of the volume is for. What is none of these is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The boot sector.
    Boot,
    /// The information sector of FAT32.
    Information,
    /// The copy of the boot sector.
    BootCopy,
    /// The copy of the information sector.
    InformationCopy,
    /// Other sectors before the tables.
    Reserved,
    /// A FAT, by its number from 0.
    Table(u64),
    /// A directory, by its number among [`Filesystem::files`].
    Directory(usize),
    /// A file's content.
    Content(usize),
    /// Behind the end of a file, in its last cluster.
    Slack(usize),
    /// Behind the last cluster.
    Outside,
}

impl Filesystem {
    /// The atlas of the whole partition, in bytes from its start.
    pub(super) fn places(&self) -> Atlas<Place> {
        let measures = &self.measures;
        let sector = |number: u16| {
            let start = u64::from(number) * measures.sector;
            (number > 0 && number < 0xffff).then(|| start..start + measures.sector)
        };
        let mut places = vec![(0..measures.sector, Place::Boot)];
        if measures.bits == Bits::ThirtyTwo {
            let (information, copy) = (u16_at(&measures.boot, 48), u16_at(&measures.boot, 50));
            let inside = |range: &Range<u64>| range.end <= measures.table.start;
            places.extend(sector(information).filter(inside).map(|range| (range, Place::Information)));
            places.extend(sector(copy).filter(inside).map(|range| (range, Place::BootCopy)));
            let behind = copy.checked_add(information).filter(|_| copy > 0).and_then(sector);
            places.extend(behind.filter(inside).map(|range| (range, Place::InformationCopy)));
        }
        let length = measures.table.end - measures.table.start;
        for number in 0..measures.tables {
            let start = measures.table.start + number * length;
            places.push((start..start + length, Place::Table(number)));
        }
        for (number, file) in self.files.iter().enumerate() {
            let mut left = match &file.record {
                Some(record) if !record.is_directory() => u64::from(record.size()),
                _ => u64::MAX,
            };
            let directory = left == u64::MAX;
            for range in &file.clusters {
                let content = left.min(range.end - range.start);
                left -= content;
                let end = range.start + content;
                let place = if directory { Place::Directory(number) } else { Place::Content(number) };
                places.push((range.start..end, place));
                places.push((end..range.end, Place::Slack(number)));
            }
        }
        places.push((measures.end()..u64::MAX, Place::Outside));
        places.retain(|(range, _)| !range.is_empty());
        // What is left before the tables; gaps behind them are free clusters.
        let mut reserved = Vec::new();
        for (range, what) in Atlas::new(places.clone()).within(0..measures.table.start) {
            if what.is_none() {
                reserved.push((range, Place::Reserved));
            }
        }
        places.extend(reserved);
        Atlas::new(places)
    }

    /// A place for people.
    pub(super) fn describe(&self, place: Option<Place>) -> String {
        let name = |number: usize| printable(&self.files[number].path);
        match place {
            None => "free space".into(),
            Some(Place::Boot) => "boot sector".into(),
            Some(Place::Information) => "information sector".into(),
            Some(Place::BootCopy) => "copy of the boot sector".into(),
            Some(Place::InformationCopy) => "copy of the information sector".into(),
            Some(Place::Reserved) => "reserved sectors".into(),
            Some(Place::Table(number)) => format!("FAT {}", number + 1),
            Some(Place::Directory(number)) => format!("directory {}", name(number)),
            Some(Place::Content(number)) => format!("content of {}", name(number)),
            Some(Place::Slack(number)) => format!("behind the end of {}", name(number)),
            Some(Place::Outside) => "behind the filesystem".into(),
        }
    }
}
