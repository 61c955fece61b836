//! Directory trees as data: listed with digests, copied, archived, packed and restored, and seen through.

pub mod archive;
pub mod attributes;
pub mod copy;
pub mod index;
pub mod pack;
pub mod view;
