//! The device socket: what a device says ([`Up`]) and what it hears ([`Down`]). Not its transport and not its rules.
//!
//! Both borrow from the frame they were parsed from and can be written into any `fmt::Write`. `data`, `params`,
//! `result` and state values stay [`Json`] slices: checked, but not interpreted.

mod down;
mod fields;
mod parts;
mod up;

#[cfg(doc)]
use crate::json::Json;
pub use down::{Command, Down};
pub use fields::{Expected, WireError};
pub(crate) use fields::{Fields, pick};
pub use parts::{
    Sample, Samples, StateEntry, StateIter, StateMap, Telemetry, write_refusals, write_samples,
    write_state,
};
pub use up::{CommandResult, Firmware, Heartbeat, Hello, Up};
