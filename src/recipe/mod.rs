//! TODO

pub mod plan;
