//! The device core: a deterministic state machine without I/O; no_std, no allocation.
//!
//! The same core runs in the firmware of every board and in the simulator. It opens no socket, reads no clock, and owns
//! no pin: a *binding* does, and tells the core. Given the same configuration, seed and inputs, it does the same.
//!
//! # The loop of a binding
//! ```
//! use espalier_device::{Config, Core, Input, Output};
//! use espalier_wire::json::Value;
//!
//! let config = Config::new("http://server:8000", "65a1f0c2b3d4e5f601234567", "0f3a").unwrap();
//! let mut core: Core = Core::new(config, 42);
//! core.declare_switch("relay1", Value::Bool(false));
//!
//! core.step(0, Input::Tick); // milliseconds of any clock that only counts up
//! while let Some(output) = core.poll() {
//!     match output {
//!         Output::OpenSocket => { /* connect, then step(now, Input::Opened) or Input::OpenFailed */ }
//!         Output::Measure => { /* read the sensors, then step(now, Input::Sample(&[…])) */ }
//!         _ => {}
//!     }
//! }
//! let _sleep_at_most_ms = core.wake_in_ms();
//! ```
//!
//! # What it promises
//! - A sample is forgotten only when the server has acknowledged it, has refused it for good, or when the queue is full
//!   (then the oldest go, and are counted). Losing the connection costs nothing; losing the power while offline costs
//!   at most what was measured since the queue was stored last: half a minute ago at most, five minutes after an hour alone.
//! - A report never names a version that was not applied, and the versions it names for a switch never go down.
//! - Reconnections back off exponentially with full jitter; when sockets do not work, HTTP polling takes over.
//! - Samples carry device time only when the server has told the time and the clock has not jumped since.
//! - Firmware is started only when a trusted key signed it and every byte of it is in flash; it stays only when it has proven
//!   itself. The power may fail between any two writes, and in the middle of one.
//!
//! | module | holds |
//! |---|---|
//! | [`machine`] | the machine: inputs, outputs, the connection |
//! | [`config`] | what the device must know, checked |
//! | [`queue`] | unacknowledged samples |
//! | [`state`], [`refusals`] | switches: desired, applied, reported; what is refused and why |
//! | [`commands`] | things to do once |
//! | [`clock`], [`backoff`], [`rng`] | time, patience, chance |
//! | [`storage`], [`records`] | what survives a restart, and how it lies in flash |
//! | [`settings`] | who the board is: its record, and what other firmware left |
//! | [`setup`] | how a person sets it up: portal, console, Improv |
//! | [`node`] | the machine beside the core: what a board does besides its connection |
//! | [`wifi`], [`led`], [`button`], [`schedule`], [`safe`] | the parts of it |
//! | [`profile`] | which pin does what |
//! | [`parts`] | sensors and displays |
//! | [`update`] | new firmware: taking it in, starting it on trial, keeping it or going back |
#![no_std]
#![warn(missing_docs)]

pub mod backoff;
pub mod clock;
pub mod commands;
pub mod config;
pub mod machine;
pub mod queue;
pub mod refusals;
pub mod rng;
pub mod state;
pub mod stats;
pub mod storage;
pub mod update;

// What a board has beside its connection, and what composes it with the core.
pub mod button;
pub mod led;
pub mod node;
pub mod parts;
pub mod profile;
pub mod safe;
pub mod schedule;
pub mod wifi;

// Setting a board up.
pub mod records;
pub mod settings;
pub mod setup;

pub use config::{Config, ConfigError, Endpoint, UpdatePolicy};
pub use machine::{Core, Input, Led, Method, Output};
pub use stats::Stats;
pub use storage::{Slot, Storage};
