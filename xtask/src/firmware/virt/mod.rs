//! The life of an emulated board with the real server: provisioned over its serial line, heard, switched, updated whole and by a
//! patch, and back on its old image after a bad one. The board is the firmware in QEMU; the server is the program that ships.
//!
//! A second board does the same first steps in TLS, and a third one believes somebody else.
//!
//! `images` builds what the board runs, `machine` is QEMU with its serial line, `api` asks the server what it saw, `tls` stands before it,
//! `scenario` is the story.

mod api;
mod images;
mod key;
mod machine;
mod scenario;
mod tls;

use std::path::PathBuf;

use anyhow::Result;

use crate::steps::Steps;
use crate::{packages, program};
use images::Images;

/// The package with the emulator, and the program in it.
const QEMU: (&str, &str) = ("qemu-system-misc", "qemu-system-riscv32");

/// Runs the scenario, each part as a step.
pub fn run(steps: &mut Steps) {
    let emulator = steps.value("emulated board: QEMU", emulator);
    let images = steps.value("emulated board: firmware", Images::build);
    let program = steps.value("emulated board: server", server);
    let (Some(()), Some(images), Some(program)) = (emulator, images, program) else {
        return;
    };
    scenario::play(steps, &images, &program);
}

/// Builds the program, or takes the one that `ESPALIER_PROGRAM` names.
fn server() -> Result<PathBuf> {
    match crate::process::environment("ESPALIER_PROGRAM") {
        Some(program) => Ok(PathBuf::from(program)),
        None => program::build(),
    }
}

fn emulator() -> Result<()> {
    if crate::process::find(QEMU.1).is_none() {
        packages::install(&[QEMU.0])?;
    }
    Ok(())
}
