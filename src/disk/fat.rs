//! A FAT32 filesystem written by the fatfs library, the same bytes each time.

use fatfs::{DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions};
use std::io::{Cursor, Write};
use std::sync::OnceLock;

/// A FAT32 filesystem of `size` bytes with these files, in this order; directories are made as needed.
pub fn filesystem(
    files: &[(&str, Vec<u8>)],
    serial: u32,
    label: [u8; 11],
    epoch: i64,
    size: u64,
) -> std::io::Result<Vec<u8>> {
    let size = usize::try_from(size).map_err(std::io::Error::other)?;
    let mut image = vec![0; size];
    let format = FormatVolumeOptions::new().fat_type(FatType::Fat32).volume_id(serial).volume_label(label);
    fatfs::format_volume(Cursor::new(&mut image[..]), format)?;
    let options = FsOptions::new().time_provider(clock(epoch)).update_accessed_date(false);
    let volume = FileSystem::new(Cursor::new(&mut image[..]), options)?;
    {
        let root = volume.root_dir();
        for (path, bytes) in files {
            for (end, _) in path.match_indices('/') {
                root.create_dir(&path[..end])?;
            }
            let mut file = root.create_file(path)?;
            file.write_all(bytes)?;
            file.flush()?;
        }
    }
    // Counts the free clusters, so that they are written to the filesystem's information sector.
    volume.stats()?;
    volume.unmount()?;
    repair_directories(&mut image)
        .ok_or_else(|| std::io::Error::other("the directories are not as fatfs is known to write them"))?;
    Ok(image)
}

/// Bytes of a directory entry.
const ENTRY: usize = 32;
/// Attribute of a directory, and the attributes that mark a part of a long name.
const DIRECTORY: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;
/// First byte of an entry that is free, and of one after which all are.
const FREE: u8 = 0xe5;
const END: u8 = 0;

/// Puts right what fatfs 0.3 gets wrong (its own reader does not mind, fsck.vfat(8) does): `.` and `..` must be
/// a directory's first two entries, without long names, and `..` names the root directory as cluster 0
/// (FAT32 File System Specification 1.03, "FAT Directory Structure"). None when the volume is unlike that.
fn repair_directories(image: &mut [u8]) -> Option<()> {
    let volume = Volume::of(image)?;
    let mut pending = vec![volume.root];
    while let Some(directory) = pending.pop() {
        for child in volume.subdirectories(image, directory)? {
            let at = volume.offset(child)?;
            let slots = image.get_mut(at..at + 4 * ENTRY)?;
            if slots[0] != b'.' {
                let is_long = |entry: usize| slots[entry * ENTRY + 11] == LONG_NAME;
                let dots = slots[ENTRY] == b'.' && &slots[3 * ENTRY..3 * ENTRY + 2] == b"..";
                if !(is_long(0) && is_long(2) && dots) {
                    return None;
                }
                slots.copy_within(ENTRY..2 * ENTRY, 0);
                slots.copy_within(3 * ENTRY..4 * ENTRY, ENTRY);
                slots[2 * ENTRY..].fill(0);
                (slots[2 * ENTRY], slots[3 * ENTRY]) = (FREE, FREE);
            }
            if directory == volume.root {
                set_cluster(&mut slots[ENTRY..2 * ENTRY], 0);
            }
            pending.push(child);
        }
    }
    Some(())
}

/// Where things are in a FAT32 volume.
struct Volume {
    root: u32,
    table: usize,
    data: usize,
    cluster: usize,
}

impl Volume {
    fn of(image: &[u8]) -> Option<Self> {
        let short =
            |at: usize| Some(usize::from(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?)));
        let long = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?));
        let sector = short(11)?;
        let table = short(14)? * sector;
        let tables = usize::from(*image.get(16)?) * long(36)? as usize * sector;
        Some(Self {
            root: long(44)?,
            table,
            data: table + tables,
            cluster: usize::from(*image.get(13)?) * sector,
        })
    }

    fn offset(&self, cluster: u32) -> Option<usize> {
        Some(self.data + (cluster.checked_sub(2)? as usize) * self.cluster)
    }

    /// First clusters of the directories in the directory that begins at `first`.
    fn subdirectories(&self, image: &[u8], first: u32) -> Option<Vec<u32>> {
        let (mut found, mut cluster) = (Vec::new(), first);
        loop {
            let at = self.offset(cluster)?;
            for entry in image.get(at..at + self.cluster)?.chunks_exact(ENTRY) {
                match entry[0] {
                    END => return Some(found),
                    FREE | b'.' => {}
                    _ if entry[11] & (DIRECTORY | LONG_NAME) == DIRECTORY => found.push(cluster_of(entry)),
                    _ => {}
                }
            }
            let link = self.table + cluster as usize * 4;
            cluster = u32::from_le_bytes(image.get(link..link + 4)?.try_into().ok()?) & 0x0fff_ffff;
            if cluster >= 0x0fff_fff8 {
                return Some(found);
            }
        }
    }
}

/// The first cluster of what an entry names: its high half is at 20, its low half at 26.
fn cluster_of(entry: &[u8]) -> u32 {
    u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]])
}

fn set_cluster(entry: &mut [u8], cluster: u32) {
    let bytes = cluster.to_le_bytes();
    entry[26..28].copy_from_slice(&bytes[..2]);
    entry[20..22].copy_from_slice(&bytes[2..]);
}

/// A clock that stands still at source-date-epoch. fatfs wants one that lives for ever; a process builds at
/// few epochs, and each is kept once.
fn clock(epoch: i64) -> &'static Clock {
    static CLOCKS: OnceLock<std::sync::Mutex<std::collections::BTreeMap<i64, &'static Clock>>> =
        OnceLock::new();
    let mut clocks =
        CLOCKS.get_or_init(Default::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    clocks.entry(epoch).or_insert_with(|| Box::leak(Box::new(Clock(fat_time(epoch)))))
}

#[derive(Debug)]
struct Clock(DateTime);

impl fatfs::TimeProvider for Clock {
    fn get_current_date(&self) -> fatfs::Date {
        self.0.date
    }

    fn get_current_date_time(&self) -> DateTime {
        self.0
    }
}

/// Seconds since 1970 as FAT writes time, in UTC; FAT knows the years 1980 to 2107 only.
fn fat_time(epoch: i64) -> DateTime {
    const FIRST: i64 = 315_532_800; // 1980-01-01T00:00:00Z
    const LAST: i64 = 4_354_819_198; // 2107-12-31T23:59:58Z
    let at = jiff::Timestamp::from_second(epoch.clamp(FIRST, LAST)).unwrap_or_default();
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    DateTime {
        date: fatfs::Date { year: at.year() as u16, month: at.month() as u16, day: at.day() as u16 },
        time: fatfs::Time {
            hour: at.hour() as u16,
            min: at.minute() as u16,
            sec: at.second() as u16,
            millis: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(epoch: i64) -> Vec<u8> {
        let files = [("A/LONG.TXT", vec![1; 3000]), ("A/b/c.txt", vec![2; 10]), ("A/b/d.txt", Vec::new())];
        filesystem(&files, 7, *b"TEST       ", epoch, 64 << 20).unwrap()
    }

    #[test]
    fn dots_come_first_and_lead_to_the_parent() {
        let image = volume(0);
        let layout = Volume::of(&image).unwrap();
        let a = layout.subdirectories(&image, layout.root).unwrap()[0];
        let b = layout.subdirectories(&image, a).unwrap()[0];
        for (directory, parent) in [(a, 0), (b, a)] {
            let at = layout.offset(directory).unwrap();
            assert_eq!(&image[at..at + 11], b".          ");
            assert_eq!(cluster_of(&image[at..]), directory);
            assert_eq!(&image[at + 32..at + 43], b"..         ");
            assert_eq!(cluster_of(&image[at + 32..]), parent);
        }
    }

    #[test]
    fn a_directory_of_several_clusters_keeps_its_entries() {
        let names: Vec<String> = (0..60).map(|number| format!("D/a long name {number}")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), vec![3; 5])).collect();
        let image = filesystem(&files, 7, *b"TEST       ", 0, 64 << 20).unwrap();
        let volume = FileSystem::new(Cursor::new(image), FsOptions::new()).unwrap();
        let directory = volume.root_dir().open_dir("D").unwrap();
        assert_eq!(directory.iter().map(Result::unwrap).filter(|entry| entry.len() == 5).count(), 60);
    }

    #[test]
    fn a_volume_that_is_none_is_refused() {
        assert_eq!(repair_directories(&mut []), None);
        assert_eq!(repair_directories(&mut [0xff; 4096]), None);
    }

    #[test]
    fn every_time_is_the_epoch() {
        let image = volume(1_700_000_001); // 2023-11-14 22:13:21
        let volume = FileSystem::new(Cursor::new(image), FsOptions::new()).unwrap();
        let mut directories = vec![volume.root_dir()];
        let mut seen = 0;
        while let Some(directory) = directories.pop() {
            for entry in directory.iter().map(Result::unwrap) {
                let (date, time) = (entry.modified().date, entry.modified().time);
                assert_eq!((date.year, date.month, date.day), (2023, 11, 14), "{}", entry.file_name());
                assert_eq!((time.hour, time.min, time.sec), (22, 13, 20), "{}", entry.file_name());
                assert_eq!(entry.created().time.sec, 21, "{}", entry.file_name());
                assert_eq!(entry.accessed(), date);
                seen += 1;
                if entry.is_dir() && !entry.file_name().starts_with('.') {
                    directories.push(entry.to_dir());
                }
            }
        }
        assert_eq!(seen, 2 + 2 * 2 + 3);
    }

    #[test]
    fn times_that_fat_cannot_hold_are_clamped() {
        assert_eq!(fat_time(0).date.year, 1980);
        assert_eq!(fat_time(i64::MIN).date.year, 1980);
        assert_eq!(fat_time(i64::MAX).date.year, 2107);
    }
}
