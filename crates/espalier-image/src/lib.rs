//! ESP firmware as bytes: images, partition tables, OTA data, signed manifests, delta patches; no_std.
//!
//! Everything that reads takes bytes from anywhere: it never panics, never allocates and checks every length. What makes things
//! (signatures, key files, synthetic images) is behind the feature `encode`.
#![cfg_attr(not(feature = "encode"), no_std)]
#![warn(missing_docs)]

pub mod app;
mod bytes;
pub mod chip;
pub mod delta;
pub mod error;
pub mod keys;
#[cfg(feature = "encode")]
pub mod make;
pub mod manifest;
pub mod merged;
pub mod otadata;
pub mod partitions;
pub mod secure_boot;
mod text;

pub use error::ImageError;
pub use text::{FormatError, Hex};
