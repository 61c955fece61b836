//! Two contents of one path: a unified diff for text, sizes and hashes for everything else.

use super::inside;
use super::raw;
use super::report::{ContentChange, Digest};
use super::source::{ReadAt, Source};
use super::tree::{Body, Entry};
use super::unified;
use crate::error::Result;
use std::sync::Arc;

/// Longer texts are compared as binaries.
const TEXT_LIMIT: usize = 1 << 20;

/// How the contents of two files differ: nothing when they are the same. `path` is for the head of a diff.
pub fn compare(path: &str, a: &Entry, b: &Entry) -> Result<Option<ContentChange>> {
    let (a, b) = match (&a.body, &b.body) {
        (Body::Stored(a), Body::Stored(b)) => (a, b),
        (Body::None, Body::None) => return Ok(None),
        // Neither can be read: their bytes on the disk are compared.
        (Body::Unreadable(_), Body::Unreadable(_)) => return Ok(None),
        (a, b) => return Ok(Some(ContentChange::Unreadable { why: unreadable(a, b) })),
    };
    if raw::equal(a, b)? {
        return Ok(None);
    }
    let (a, b): (Source, Source) = (Arc::new(a.clone()), Arc::new(b.clone()));
    if let Some((text_a, text_b)) = text(&*a)?.zip(text(&*b)?) {
        return Ok(Some(ContentChange::Text { diff: unified::diff(path, &text_a, &text_b) }));
    }
    let digest =
        |source: &dyn ReadAt| raw::sha256(source).map(|sha256| Digest { size: source.size(), sha256 });
    let (digest_a, digest_b) = rayon::join(|| digest(&*a), || digest(&*b));
    let first_difference = raw::first_difference(&*a, &*b)?.unwrap_or_default();
    let inside = inside::look(&a, &b)?;
    Ok(Some(ContentChange::Binary { a: digest_a?, b: digest_b?, first_difference, inside }))
}

/// Whether the contents of two files differ, without saying how.
pub fn differs(a: &Entry, b: &Entry) -> Result<bool> {
    Ok(match (&a.body, &b.body) {
        (Body::Stored(a), Body::Stored(b)) => !raw::equal(a, b)?,
        (Body::None, Body::None) | (Body::Unreadable(_), Body::Unreadable(_)) => false,
        _ => true,
    })
}

fn unreadable(a: &Body, b: &Body) -> String {
    match (a, b) {
        (Body::Unreadable(why), _) => format!("in A it cannot be read: {why}"),
        (_, Body::Unreadable(why)) => format!("in B it cannot be read: {why}"),
        _ => "only one has a content".into(),
    }
}

fn text(source: &dyn ReadAt) -> Result<Option<String>> {
    if source.size() > TEXT_LIMIT as u64 {
        return Ok(None);
    }
    let bytes = source.bytes(0..source.size(), TEXT_LIMIT)?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::testing::file;
    use proptest::prelude::*;

    fn compared(a: &[u8], b: &[u8]) -> Option<ContentChange> {
        let (a, b) = (file(a), file(b));
        let found = compare("/x", &a, &b).unwrap();
        assert_eq!(found.is_some(), differs(&a, &b).unwrap());
        found
    }

    #[test]
    fn a_line_ending_is_a_difference() {
        let Some(ContentChange::Text { diff }) = compared(b"a\n", b"a\r\n") else { panic!() };
        assert!(diff.ends_with("-a\n+a\r\n"), "{diff:?}");
        assert!(matches!(compared(b"", b"\n"), Some(ContentChange::Text { .. })));
    }

    #[test]
    fn everything_else_is_a_binary() {
        let long = vec![b'x'; TEXT_LIMIT + 1];
        for (a, b, first) in
            [(&b"a\0b"[..], &b"a\0c"[..], 2), (b"ab", b"ab\xff", 2), (&long, &long[1..], TEXT_LIMIT)]
        {
            let Some(ContentChange::Binary { a: digest, first_difference, .. }) = compared(a, b) else {
                panic!()
            };
            assert_eq!((digest.size, first_difference), (a.len() as u64, first as u64));
        }
    }

    #[test]
    fn what_cannot_be_read_is_never_the_same_as_what_can() {
        let mut broken = file(b"x");
        broken.body = Body::Unreadable("its block map is damaged".into());
        let found = compare("/x", &file(b"x"), &broken).unwrap().unwrap();
        assert!(
            matches!(found, ContentChange::Unreadable { why } if why.contains("in B") && why.contains("damaged"))
        );
    }

    proptest! {
        #[test]
        fn contents_are_the_same_only_when_their_bytes_are(
            a in proptest::collection::vec(0u8..4, 0..6),
            b in proptest::collection::vec(0u8..4, 0..6),
        ) {
            prop_assert_eq!(compared(&a, &b).is_none(), a == b);
        }
    }
}
