//! Trees for the tests.

use super::source::Source;
use super::tree::{Body, Content, Entry, Kind, Piece, Tree};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A regular file with this content.
pub fn file(bytes: &[u8]) -> Entry {
    let source: Source = Arc::new(bytes.to_vec());
    let size = bytes.len() as u64;
    let pieces = if size > 0 { vec![Piece { at: 0, from: 0, length: size }] } else { Vec::new() };
    Entry {
        kind: Kind::File,
        mode: Some(0o644),
        owner: Some((0, 0)),
        size,
        modified: Some((5, 0)),
        attributes: BTreeMap::new(),
        identity: 0,
        body: Body::Stored(Content::new(&source, size, pieces).unwrap()),
    }
}

/// A tree of regular files, without their directories.
pub fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (number, (path, text)) in files.iter().enumerate() {
        let entry = Entry { identity: number as u64, ..file(text.as_bytes()) };
        tree.entries.insert(path.as_bytes().to_vec(), entry);
    }
    tree
}
