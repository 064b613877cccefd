//! The pure domain: ids, roles and permissions, desired and reported state, firmware on its way; no I/O, no async, no clock, no randomness of its own.
//!
//! Time and random bytes come in as parameters, so every decision can be tested for every moment. What
//! needs a database or a socket lives in `espalier-server`; what crosses the wire lives in `espalier-wire`.

pub mod id;
pub mod ota;
pub mod role;
pub mod twin;

pub use id::{AccountId, Alias, DeviceId, FirmwareId, KitId, Oid, ReleaseId, RolloutId, UpdateId};
pub use role::{Action, Role, ShareRole};
pub use twin::Twin;
