//! Comparing two images: partitions, packages, files, and every byte that these do not explain. Nothing is mounted and
//! nobody need be root.
//!
//! [`images`] opens and compares two paths. Whoever has images that were found otherwise, freshly built ones for
//! example, opens them with [`Image::open`] and calls [`compare`].

mod accounts;
mod archive;
mod atlas;
mod capability;
mod content;
mod cpio;
mod disks;
mod engine;
mod ext4;
mod fat;
mod files;
mod findings;
mod image;
mod inside;
mod le;
mod outside;
mod packages;
mod people;
mod raw;
mod render;
mod report;
mod source;
mod summary;
mod table;
mod text;
mod tree;
mod unified;
mod volume;

#[cfg(test)]
mod testing;

pub use engine::compare;
pub use image::{Container, Image, Kind};
pub use report::{
    ByteRange, Change, ContentChange, Digest, FileChange, Inside, MemberChange, PackageChange, PackageWhat,
    PartitionChange, Properties, Report, Side, VERSION, Verdict, What,
};
pub use source::{ReadAt, Source};

use crate::error::Result;
use std::path::Path;

/// How two images are compared and told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Compare only files whose path is one of these or lies below: `/etc`, `esp:/EFI`. Everything when empty.
    pub only: Vec<String>,
    /// Do not show how contents differ.
    pub stat: bool,
}

/// Compares the images at two paths: files or output directories.
pub fn images(a: &Path, b: &Path, options: &Options) -> Result<Report> {
    compare(&Image::open(a)?, &Image::open(b)?, options)
}
