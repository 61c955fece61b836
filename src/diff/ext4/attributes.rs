//! Extended attributes in the inode and in a block of their own (Linux, Documentation/filesystems/ext4/attributes.rst).

use crate::diff::le::{u16_at, u32_at};
use std::collections::BTreeMap;

/// Both places begin with it.
const MAGIC: u32 = 0xea02_0000;
/// Bytes of the header of a block of attributes.
const BLOCK_HEADER: usize = 32;

/// Attributes by name, as getxattr(2) gives them.
pub type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Adds the attributes of an inode's own space. False when it is damaged.
pub fn in_inode(space: &[u8], found: &mut Attributes) -> bool {
    u32_at(space, 0) != MAGIC || entries(&space[4..], 0, found)
}

/// Adds the attributes of a block. False when it is damaged.
pub fn in_block(block: &[u8], found: &mut Attributes) -> bool {
    u32_at(block, 0) == MAGIC && entries(block, BLOCK_HEADER, found)
}

/// Values are found by offsets from the start of `bytes`.
fn entries(bytes: &[u8], mut at: usize, found: &mut Attributes) -> bool {
    while u32_at(bytes, at) != 0 {
        let Some(&[length, index]) = bytes.get(at..at + 2) else { return false };
        let name_end = at + 16 + usize::from(length);
        let Some(name) = bytes.get(at + 16..name_end) else { return false };
        let name = [prefix(index).as_bytes(), name].concat();
        let (offset, inode, size) =
            (usize::from(u16_at(bytes, at + 2)), u32_at(bytes, at + 4), u32_at(bytes, at + 8) as usize);
        let value = if inode != 0 {
            // A value in an inode of its own (feature ea_inode): that inode is compared as bytes.
            Some(format!("in inode {inode}, {size} bytes").into_bytes())
        } else {
            offset.checked_add(size).and_then(|end| bytes.get(offset..end)).map(<[u8]>::to_vec)
        };
        let Some(value) = value else { return false };
        let value = if matches!(index, 2 | 3) { access_list(&value).unwrap_or(value) } else { value };
        found.insert(name, value);
        at = name_end.next_multiple_of(4);
    }
    true
}

fn prefix(index: u8) -> String {
    match index {
        0 => String::new(),
        1 => "user.".into(),
        2 => "system.posix_acl_access".into(),
        3 => "system.posix_acl_default".into(),
        4 => "trusted.".into(),
        6 => "security.".into(),
        7 => "system.".into(),
        8 => "system.richacl".into(),
        other => format!("index-{other}."),
    }
}

/// An access control list as the system call gives it (Linux, posix_acl_xattr.h) from ext4's own shorter form (acl.h).
fn access_list(stored: &[u8]) -> Option<Vec<u8>> {
    if u32_at(stored, 0) != 1 {
        return None;
    }
    let mut list = 2u32.to_le_bytes().to_vec();
    let mut rest = stored.get(4..)?;
    while !rest.is_empty() {
        let tag = u16_at(rest, 0);
        // Only named users (2) and groups (8) have a number.
        let named = matches!(tag, 2 | 8);
        list.extend(rest.get(..4)?);
        list.extend(if named { rest.get(4..8)? } else { &[0xff; 4] });
        rest = rest.get(if named { 8 } else { 4 }..)?;
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn space() -> Vec<u8> {
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend([10, 6, 60, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(b"capability\0\0");
        bytes.resize(4 + 60, 0);
        bytes.extend(b"abc");
        bytes.resize(100, 0);
        bytes
    }

    #[test]
    fn attributes_have_their_whole_names() {
        let mut found = Attributes::new();
        assert!(in_inode(&space(), &mut found));
        assert_eq!(found.get(&b"security.capability"[..]).unwrap(), b"abc");
        assert!(in_inode(&[0; 96], &mut found) && in_inode(&[], &mut found));
        assert!(!in_block(&[0; 4096], &mut Attributes::new()));
        let mut outside = space();
        outside[4 + 2] = 98;
        assert!(!in_inode(&outside, &mut found));
    }

    #[test]
    fn access_lists_are_as_the_system_gives_them() {
        let stored = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0];
        let list = access_list(&stored).unwrap();
        assert_eq!(list[..4], [2, 0, 0, 0]);
        assert_eq!(list[4..12], [1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(list[12..20], [2, 0, 4, 0, 0xe8, 3, 0, 0]);
        assert_eq!(list.len(), 4 + 3 * 8);
        assert_eq!(access_list(&stored[..14]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes in proptest::collection::vec(0u8..40, 0..200)) {
            in_inode(&bytes, &mut Attributes::new());
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            }
            in_inode(&bytes, &mut Attributes::new());
            in_block(&bytes, &mut Attributes::new());
        }
    }
}
