//! Stories: what people and boards do with the product, over HTTP and sockets, on both engines.
//!
//! One file per feature, one binary for all, so that the dependencies are linked once.

mod authorisation;
mod basics;
mod contract;
mod devices;
mod devices_access;
mod devices_presence;
mod live_devices;
mod live_sockets;
mod telemetry;
mod identity;
mod control;
mod control_commands;
mod identity_access;
mod identity_admin;
