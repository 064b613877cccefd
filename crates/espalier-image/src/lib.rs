//! ESP firmware as bytes: images, partition tables, OTA data, signed manifests, delta patches; no_std.
#![cfg_attr(not(feature = "encode"), no_std)]
#![warn(missing_docs)]

pub mod otadata;
pub mod delta;
