//! Every device and app message, defined once; no_std.
//!
//! This crate is the language that the server, the firmware, the simulator and the tests share. It is not a client: it
//! opens no socket, reads no clock, and keeps no state.
//!
//! | module | holds | needs |
//! |---|---|---|
//! | [`limits`] | every bound that both sides must agree on | `core` |
//! | [`json`] | a strict, bounded, zero-copy JSON reader and a small writer | `core` |
//! | [`device`] | the device socket: [`device::Up`] and [`device::Down`] | `core` |
//! | [`http`] | the bodies of the HTTP fallback for devices | `core` |
//! | [`codes`] | the stable error codes of `error` frames | `core` |
//! | [`app`] | the app socket and the event streams | `alloc` |
//!
//! # Why the device messages do not use serde
//! A chip has no allocator in steady state, and serde's tagged enums and raw values need one. The reader here walks the
//! text once, checks all of it, and hands out slices of it, so that `data` reaches the server's own strict parser as the
//! exact text that the device sent. Unknown fields are ignored, so that either side may be newer than the other.
//!
//! # The device socket, `GET /ws/device`
//! JSON text frames of at most [`limits::MAX_FRAME_BYTES`]. The device authenticates with `Authorization: Bearer TOKEN`,
//! `?token=TOKEN`, or `token` in its first frame. `tests/golden.rs` shows every frame.
//!
//! ```
//! use espalier_wire::device::{Down, Telemetry, Up};
//!
//! let frame = r#"{"type":"telemetry","id":7,"data":{"temperature":21.5,"relay1":true}}"#;
//! let Ok(Up::Telemetry { id, telemetry: Telemetry::Now { ts, data } }) = Up::parse(frame) else { panic!() };
//! assert_eq!((id, ts, data.as_str()), (7, None, r#"{"temperature":21.5,"relay1":true}"#));
//! assert_eq!(Down::Ack { id }.to_json(), r#"{"type":"ack","id":7}"#);
//! ```
#![no_std]
#![warn(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod app;
pub mod codes;
pub mod device;
pub mod http;
pub mod json;
pub mod limits;
pub mod ota;
