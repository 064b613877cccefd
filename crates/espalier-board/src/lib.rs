//! The driver of a board: what connects [`espalier_device::Core`] with a network, flash and hardware; no_std, no allocation.
//! It decides nothing: what to send, when to connect again and what to do about firmware is the core's.
//!
//! [`run`] serves every output of the core until the core wants the board to restart. A board gives it
//! - a network: [`embedded_nal_async::TcpConnect`] and [`embedded_nal_async::Dns`];
//! - storage and flash: [`espalier_device::Storage`] and [`embedded_storage::nor_flash::NorFlash`];
//! - [`Hardware`]: sensors, switches, commands, vital signs;
//! - [`Buffers`], the only memory that it needs beside its future, with a named size for each of them;
//! - [`Trust`]: the certificate and the keys of servers that it believes.
//!
//! Inside are three futures that one task polls. The *main loop* (`driver.rs`) hands out what the core wants, the *link*
//! (`link.rs`) keeps the WebSocket, the *exchange* (`exchange.rs`) has the one request or download that is on its way. Both of
//! the latter tell the core at once what arrives; nothing waits for the main loop, so nothing can wait in a circle.
//!
//! | module | holds |
//! |---|---|
//! | [`hardware`] | what a board must be able to do |
//! | [`fetch`] | what a board fetches beside its core |
//! | [`buffers`] | the memory |
//! | [`tls`] | who is believed: certificates, names, dates |
//! | `connect`, `channel` | from a URL to bytes, plain or in TLS |
//! | `http`, `ws` | heads, bodies and frames as bytes |
//!
//! # A whole board
//! A firmware is more than its connection. These modules are what all firmware of ours is composed of; what is left to it are the
//! drivers of its chip, and one task for each of the futures here.
//!
//! | module | holds |
//! |---|---|
//! | [`desk`] | what the tasks share |
//! | [`station`] | the loop of the station, and when the watchdog is fed |
//! | [`radio`] | the station's orders for the radio |
//! | [`sockets`] | the network stacks, and the client of the driver |
//! | [`portal`] | the services in the board's own network |
//! | [`life`] | the core, made out of the settings, until the restart |
#![no_std]
#![warn(missing_docs)]
#![expect(
    async_fn_in_trait,
    reason = "boards have one executor and no threads, so nobody asks whether a future is Send"
)]

#[cfg(test)]
extern crate std;

pub mod buffers;
mod channel;
#[cfg(test)]
#[path = "../tests/board/clock.rs"]
mod clock;
mod connect;
pub mod desk;
mod driver;
mod error;
mod exchange;
pub mod fetch;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod hardware;
mod http;
pub mod life;
mod link;
pub mod portal;
pub mod radio;
mod shared;
pub mod sockets;
pub mod station;
pub mod tls;
mod ws;

pub use buffers::Buffers;
pub use driver::{Board, run, run_with};
pub use error::NetError;
pub use fetch::{Fetch, FetchNothing, Wanted};
pub use hardware::{Done, Happening, Hardware, Sample, Vitals};
pub use tls::{Anchor, Trust};
