//! Simulated boards that run the device's machines over real sockets: one board or thousands in one process.
//!
//! Everything between the pins and the server is real: the same core and the same node as in the firmware, the same frames, real
//! TCP. Only sensors, what hangs on the pins, flash, power and the weather are models. Not a load generator that cuts corners: a board here waits for
//! acknowledgements, queues, backs off and reports as a board on a desk does.
//!
//! ```no_run
//! use espalier_sim::{BoardKind, BoardSpec, Fleet, SimOptions};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn run() -> Result<(), espalier_sim::SimError> {
//! let board = BoardSpec {
//!     kind: BoardKind::Plant,
//!     name: "Monstera".into(),
//!     device_id: "65a1f0c2b3d4e5f601234567".into(),
//!     token: "0f3a…".into(),
//!     seed: 1,
//!     outage: None,
//! };
//! let cancel = CancellationToken::new();
//! let fleet = Fleet::run(vec![board], &SimOptions::new("http://127.0.0.1:8000"), &cancel)?;
//! fleet.wait_until(|now| now.points_acked > 100).await;
//! cancel.cancel();
//! fleet.stopped().await;
//! # Ok(()) }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`options`](SimOptions) | what a fleet is made of, and its faults |
//! | [`kinds`](BoardKind) | thirteen kinds of boards; [`demo_fleet`] |
//! | [`physics`] | what they measure |
//! | `wiring` | which pin of a kind carries which switch |
//! | `board` | core + node + model + socket + flash + mishaps: one task each |
//! | [`flash`] | the flash chip, its bootloader, its records |
//! | [`firmware`] | images that tell a board how to behave |
//! | [`fleet`](Fleet) | starting, watching, stopping |
//! | [`watch`] | the live view of the command line |
#![warn(missing_docs)]

mod board;
mod faults;
pub mod firmware;
pub mod flash;
mod fleet;
mod kinds;
mod net;
mod options;
pub mod physics;
mod summary;
pub mod watch;
mod wiring;

pub use espalier_device::UpdatePolicy;
pub use fleet::{Fleet, FleetHandle};
pub use kinds::{BoardKind, DemoBoard, demo_fleet, numbered_fleet};
pub use options::{BoardSpec, Faults, Outage, SimError, SimOptions};
pub use summary::{FirmwareView, Summary};
pub use watch::watch;
