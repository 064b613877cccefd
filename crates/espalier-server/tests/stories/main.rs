//! Stories: what people and boards do with the product, over HTTP and sockets, on both engines.
//!
//! One file per feature, one binary for all, so that the dependencies are linked once.

mod access_rules;
mod authorisation;
mod basics;
mod boards;
mod browser;
mod cms_devices;
mod cms_quarantine;
mod contract;
mod control;
mod control_bounds;
mod control_commands;
mod control_state;
mod devices;
mod devices_access;
mod devices_presence;
mod hostile;
mod identity;
mod identity_access;
mod identity_admin;
mod live_devices;
mod live_inbox;
mod live_sockets;
mod ops;
mod ota_arduino;
mod ota_blobs;
mod ota_delivery;
mod ota_deltas;
mod ota_fleet;
mod ota_kit;
mod ota_kits;
mod ota_kits_refused;
mod ota_legacy_management;
mod ota_library;
mod ota_rollouts;
mod ota_rollouts_care;
mod ota_rollouts_time;
mod rollout_kit;
mod screens;
mod telemetry;
