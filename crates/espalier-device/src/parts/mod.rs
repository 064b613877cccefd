//! The logic of sensors and displays, without their buses: bytes, levels and times in, values out. A part that fails says so; no
//! value is ever invented.
//!
//! | module | holds |
//! |---|---|
//! | [`pir`] | motion |

pub mod pir;
