//! disk
pub mod identity;
