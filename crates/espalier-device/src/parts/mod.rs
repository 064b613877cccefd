//! The logic of sensors and displays, without their buses: bytes, levels and times in, values out. A part that fails says so; no
//! value is ever invented.
//!
//! | module | holds |
//! |---|---|
//! | [`dht22`] | temperature and humidity over one wire |
//! | [`bme280`] | temperature, pressure and humidity over I2C |
//! | [`pir`] | motion |
//! | [`health`] | which of them work |
//! | [`bmp`] | pictures from the server, row by row |
//! | [`eink`] | what of a display has to change, and its commands |
//! | [`screen`] | when a picture is fetched, and what becomes of it |
//! | [`ndef`] | business cards for NFC tags |
//! | [`pn532`] | the reader that writes them |

pub mod bme280;
pub mod bmp;
pub mod dht22;
pub mod eink;
pub mod health;
pub mod ndef;
pub mod pir;
pub mod pn532;
pub mod screen;
