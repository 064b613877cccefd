//! Checks of firmware files against tools that somebody else wrote: what is sound and what is damaged, and what an image says of
//! itself, must be the same for them and for us.
//!
//! Versions of the tools are pinned here; they are kept in the target folder, so that only the first run downloads them.

mod esptool;

use crate::steps::Steps;

/// Runs the checks, each as a step.
pub fn run(steps: &mut Steps) {
    steps.step("images (esptool)", esptool::check);
}
