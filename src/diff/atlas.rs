//! A map of what lies where.

use std::ops::Range;

/// Stretches of bytes with what they are; between them lies nothing that is known.
#[derive(Debug)]
pub struct Atlas<R> {
    stretches: Vec<(Range<u64>, R)>,
}

impl<R> Atlas<R> {
    /// Sorts the stretches. Where two claim the same bytes, the one that begins first has them, then the one given
    /// first.
    pub fn new(mut stretches: Vec<(Range<u64>, R)>) -> Self {
        stretches.sort_by_key(|(range, _)| range.start);
        let mut end = 0;
        stretches.retain_mut(|(range, _)| {
            range.start = range.start.max(end);
            end = end.max(range.end);
            range.start < range.end
        });
        Self { stretches }
    }

    /// The stretch that `offset` is in, or the gap between two; a gap behind the last has no end.
    pub fn at(&self, offset: u64) -> (Range<u64>, Option<&R>) {
        let next = self.stretches.partition_point(|(range, _)| range.end <= offset);
        let before = next.checked_sub(1).map_or(0, |last| self.stretches[last].0.end);
        match self.stretches.get(next) {
            Some((range, what)) if range.start <= offset => (range.clone(), Some(what)),
            Some((range, _)) => (before..range.start, None),
            None => (before..u64::MAX, None),
        }
    }

    /// What lies in `range`, cut to it, gaps included.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, Option<&R>)> {
        let mut offset = range.start;
        std::iter::from_fn(move || {
            let (stretch, what) = (offset < range.end).then(|| self.at(offset))?;
            let cut = offset..stretch.end.min(range.end);
            offset = cut.end;
            Some((cut, what))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_cut_and_gaps_are_told() {
        let atlas =
            Atlas::new(vec![(10..20, 'a'), (15..30, 'b'), (16..18, 'c'), (40..50, 'd'), (40..45, 'e')]);
        assert_eq!(atlas.at(0), (0..10, None));
        assert_eq!(atlas.at(19), (10..20, Some(&'a')));
        assert_eq!(atlas.at(20), (20..30, Some(&'b')));
        assert_eq!(atlas.at(35), (30..40, None));
        assert_eq!(atlas.at(49), (40..50, Some(&'d')));
        assert_eq!(atlas.at(50), (50..u64::MAX, None));
        let within: Vec<_> = atlas.within(18..42).collect();
        assert_eq!(
            within,
            [(18..20, Some(&'a')), (20..30, Some(&'b')), (30..40, None), (40..42, Some(&'d'))]
        );
    }
}
