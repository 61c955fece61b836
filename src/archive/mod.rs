//! A Debian archive: signed indexes, versions, dependency resolution, and the lock made from them.

pub mod lock;
