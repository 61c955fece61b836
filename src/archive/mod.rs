//! TODO

pub mod lock;
