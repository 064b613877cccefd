//! Firmware on its way, decided: who is meant, what fits, when it may begin, how far it is, whether it goes well.
//!
//! - [`target`]: which devices are meant
//! - [`fit`]: whether an image fits a board
//! - [`update`]: one device's way to one image
//! - [`rollout`]: plans, waves, limits and commands
//! - [`window`]: maintenance windows
//! - [`health`]: whether a board is well on its new image
//!
//! Nothing here knows a clock, a database or a socket: moments and local time come in as parameters.

pub mod fit;
pub mod health;
pub mod rollout;
pub mod target;
pub mod update;
pub mod window;

#[cfg(test)]
mod rollout_tests;
#[cfg(test)]
mod update_tests;
