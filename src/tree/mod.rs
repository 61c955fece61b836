//! Directory trees as data: listed with digests, copied, archived, packed and restored, and seen through; and work in
//! one that no link in it leads astray.

pub mod archive;
pub mod attributes;
pub mod copy;
pub mod directory;
pub mod index;
pub mod inside;
pub mod pack;
pub mod view;
