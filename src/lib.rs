//! goldcast builds minimal, hardened Debian server images from a short recipe, and proves them.
//!
//! The stages, in the order data flows; none looks back:
//! [`recipe`] (text to plan) → [`archive`] (plan to lock) → [`store`] (lock to bytes) →
//! [`rootfs`] (bytes to tree, in the [`sandbox`]) → [`disk`] (tree to image) → [`verify`] (image to proof).
//! Beside them stands [`diff`], which reads images only.

pub mod archive;
pub mod cli;
pub mod commands;
pub mod diff;
pub mod disk;
pub mod error;
pub mod event;
pub mod interrupt;
pub mod memory;
pub mod nearest;
pub mod output;
pub mod progress;
pub mod recipe;
pub mod rootfs;
pub mod sandbox;
pub mod scratch;
pub mod stderr;
pub mod stdout;
pub mod store;
pub mod terminal;
pub mod tree;
pub mod typed;
pub mod verify;

pub use error::{Context, Error, Result};
