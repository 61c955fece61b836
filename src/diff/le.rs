//! Little-endian numbers of foreign structures, and which of a structure's fields differ.

use std::ops::Range;

/// The 16-bit number at an offset; 0 beyond the end.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u16::from_le_bytes)
}

/// The 32-bit number at an offset; 0 beyond the end.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_le_bytes)
}

/// The 64-bit number at an offset; 0 beyond the end.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u64::from_le_bytes)
}

/// A number whose low and high 32 bits lie apart.
pub fn split_u64(bytes: &[u8], low: usize, high: usize) -> u64 {
    u64::from(u32_at(bytes, low)) | u64::from(u32_at(bytes, high)) << 32
}

/// A field of a structure: offset, length, name. Fields of one name are parts of one value.
pub type Field = (usize, usize, &'static str);

/// What lies between the fields.
pub const RESERVED: &str = "reserved bytes";

/// The fields in which two structures differ, each with the range from its first to its last differing byte, in the
/// order of their offsets.
pub fn differing(fields: &[Field], a: &[u8], b: &[u8]) -> Vec<(&'static str, Range<usize>)> {
    let mut found: Vec<(&'static str, Range<usize>)> = Vec::new();
    for at in 0..a.len().max(b.len()) {
        if a.get(at) == b.get(at) {
            continue;
        }
        let field = fields.iter().find(|(start, length, _)| (*start..start + length).contains(&at));
        let name = field.map_or(RESERVED, |field| field.2);
        match found.last_mut().filter(|(last, range)| *last == name && at - range.end < 16) {
            Some((_, range)) => range.end = at + 1,
            None => found.push((name, at..at + 1)),
        }
    }
    found
}

/// Ranges of differing bytes, those less than 16 bytes apart as one.
pub fn runs(a: &[u8], b: &[u8]) -> Vec<Range<usize>> {
    differing(&[], a, b).into_iter().map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_end_are_nothing() {
        assert_eq!(u16_at(&[1, 2, 3], 1), 0x0302);
        assert_eq!(u16_at(&[1, 2, 3], 2), 0);
        assert_eq!(u32_at(&[], usize::MAX), 0);
        assert_eq!(split_u64(&[1, 0, 0, 0, 2, 0, 0, 0], 0, 4), 0x2_0000_0001);
    }

    #[test]
    fn differing_fields_are_named_with_their_place() {
        const FIELDS: [Field; 2] = [(0, 4, "magic"), (6, 2, "state")];
        let a = [0; 10];
        let mut b = a;
        (b[1], b[3], b[5], b[7]) = (1, 1, 1, 1);
        assert_eq!(differing(&FIELDS, &a, &b), [("magic", 1..4), (RESERVED, 5..6), ("state", 7..8)]);
        assert_eq!(differing(&FIELDS, &a, &a), []);
        assert_eq!(runs(&a, &b).first(), Some(&(1..8)));
        assert_eq!(runs(&a, &a[..9]).first(), Some(&(9..10)));
    }
}
