//! What a build hands out: artifacts, manifest and checksums in one directory, complete or not at all.

pub mod checksums;
pub mod directory;
pub mod manifest;
pub mod marking;
pub mod names;
pub mod published;
pub mod receipt;
pub mod table;
