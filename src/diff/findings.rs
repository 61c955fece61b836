//! Gathering where bytes differ: what is told, and what follows from differences that are told elsewhere.

use super::le;
use std::collections::BTreeMap;
use std::ops::Range;

/// Differing bytes of one place are told as one range when no more bytes than this lie between them.
const NEAR: u64 = 4096;

/// Differing bytes, by offsets from the start of what is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// From the first to the last differing byte, in the first image.
    pub range: Range<u64>,
    /// Where it starts in the second image, when that is elsewhere.
    pub start_b: Option<u64>,
    /// How many bytes in it differ.
    pub count: u64,
    /// What is stored there.
    pub place: String,
}

/// What a comparison of bytes gathers.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is told.
    pub told: Vec<Finding>,
    /// How many differing bytes follow from something else that is told.
    pub explained: u64,
    /// What could not be compared.
    pub notes: Vec<String>,
}

impl Findings {
    /// Tells of differing bytes at one offset in both.
    pub fn tell(&mut self, range: Range<u64>, count: u64, place: impl Into<String>) {
        let place = place.into();
        match self.told.last_mut() {
            Some(last)
                if last.place == place
                    && last.start_b.is_none()
                    && (last.range.end..=last.range.end + NEAR).contains(&range.start) =>
            {
                last.range.end = range.end;
                last.count += count;
            }
            _ => self.told.push(Finding { range, start_b: None, count, place }),
        }
    }

    /// Tells of differing bytes that lie at different offsets.
    pub fn tell_apart(&mut self, range: Range<u64>, start_b: u64, count: u64, place: impl Into<String>) {
        let start_b = (start_b != range.start).then_some(start_b);
        self.told.push(Finding { range, start_b, count, place: place.into() });
    }

    /// Tells every run of differing bytes of two stretches that begin at `offset`.
    pub fn tell_all(&mut self, offset: u64, a: &[u8], b: &[u8], place: &str) {
        for run in le::runs(a, b) {
            let count = count(a, b, &run);
            self.tell(offset + run.start as u64..offset + run.end as u64, count, place);
        }
    }

    /// Counts differing bytes that follow from something that is told.
    pub fn explain(&mut self, count: u64) {
        self.explained += count;
    }
}

/// How many bytes of a range differ; what only one of the two has counts.
pub fn count(a: &[u8], b: &[u8], range: &Range<usize>) -> u64 {
    range.clone().filter(|&at| a.get(at) != b.get(at)).count() as u64
}

/// Which aspects of a path differ, as far as bytes elsewhere follow from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aspects {
    /// It is in one tree only.
    pub presence: bool,
    /// It is of another kind, leads elsewhere, or is another device.
    pub kind: bool,
    /// Its content or size.
    pub content: bool,
    /// Its other names.
    pub links: bool,
    /// Its extended attributes.
    pub attributes: bool,
    /// Its mode, owner or time.
    pub properties: bool,
}

/// The differing paths of two trees.
#[derive(Debug, Default)]
pub struct Changed {
    /// Aspects by path.
    pub paths: BTreeMap<Vec<u8>, Aspects>,
}

impl Changed {
    /// Whether anything about a path is told.
    pub fn has(&self, path: &[u8]) -> bool {
        self.paths.contains_key(path)
    }

    /// The aspects of a path.
    pub fn of(&self, path: &[u8]) -> Aspects {
        self.paths.get(path).copied().unwrap_or_default()
    }

    /// Whether something about which blocks and inodes are in use differs.
    pub fn allocation(&self) -> bool {
        self.paths.values().any(|of| of.presence || of.kind || of.content || of.attributes || of.links)
    }

    /// Whether a directory's names, or what they are, differ.
    pub fn children(&self, directory: &[u8]) -> bool {
        let prefix = [directory.strip_suffix(b"/").unwrap_or(directory), b"/"].concat();
        self.paths
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .any(|(path, of)| (of.presence || of.kind) && !path[prefix.len()..].contains(&b'/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_differences_of_one_place_are_one_range() {
        let mut findings = Findings::default();
        findings.tell(10..12, 2, "x");
        findings.tell(4000..4001, 1, "x");
        findings.tell(4002..4003, 1, "y");
        findings.tell(9000..9001, 1, "y");
        let told: Vec<_> = findings.told.iter().map(|told| (told.range.clone(), told.count)).collect();
        assert_eq!(told, [(10..4001, 3), (4002..4003, 1), (9000..9001, 1)]);
    }

    #[test]
    fn runs_count_only_what_differs() {
        let mut findings = Findings::default();
        findings.tell_all(100, b"abcdef", b"aXcdeY", "x");
        assert_eq!((findings.told[0].range.clone(), findings.told[0].count), (101..106, 2));
    }

    #[test]
    fn only_direct_children_change_a_directory() {
        let mut changed = Changed::default();
        let presence = Aspects { presence: true, ..Aspects::default() };
        changed.paths.insert(b"/a/b/c".to_vec(), presence);
        changed.paths.insert(b"/a-".to_vec(), Aspects { content: true, ..Aspects::default() });
        assert!(changed.children(b"/a/b") && !changed.children(b"/a") && !changed.children(b"/"));
        changed.paths.insert(b"/x".to_vec(), presence);
        assert!(changed.children(b"/") && changed.allocation());
    }
}
