//! The pure domain: ids, roles, permissions, values; no I/O, no async, no clock.
