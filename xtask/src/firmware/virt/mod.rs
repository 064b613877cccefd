//! The life of an emulated board with the real server: provisioned over its serial line, heard, switched, updated whole and by a
//! patch, and back on its old image after a bad one. The board is the firmware in QEMU; the server is the program that ships. Nobody
//! gives the board a key: it keeps the one that its server names first.
//!
//! Two more boards do the same first steps in TLS, one with an authority in its flash and one with the pin of the server, and are told
//! the key that signs; a fourth one believes somebody else.
//!
//! `images` builds what the board runs, `machine` is QEMU with its serial line, `api` asks the server what it saw, `tls` stands before it,
//! `scenario` is the story.

mod api;
mod images;
mod machine;
mod scenario;
mod tls;

use anyhow::Result;

use super::times::SHIFT;
use crate::steps::Steps;
use crate::{packages, process, program};
use images::{Build, Images};
use machine::Machine;

/// The package with the emulator, and the program in it.
const QEMU: (&str, &str) = ("qemu-system-misc", "qemu-system-riscv32");

/// Runs the scenario, each part as a step.
pub fn run(steps: &mut Steps) {
    let emulator = steps.value("emulated board: QEMU", emulator);
    let images = steps.value("emulated board: firmware", Images::build);
    let program = steps.value("emulated board: server", program::get);
    let (Some(()), Some(images), Some(program)) = (emulator, images, program) else {
        return;
    };
    scenario::play(steps, &images, &program);
}

/// Builds the firmware that measures, lets it run where QEMU counts instructions, and returns what it says.
///
/// # Errors
/// When it cannot be built or started, or does not end.
pub fn times() -> Result<String> {
    emulator()?;
    let images = Images::build()?;
    let folder = process::target_folder().join("firmware/times");
    std::fs::create_dir_all(&folder)?;
    let flash = folder.join("flash.bin");
    images.flash(&images.make(Build::Times, "1.0.0", &folder)?, &flash, None)?;
    let mut board = Machine::power_on(&images.loader, &flash, &["-icount", SHIFT])?;
    board.hears("times: signature")?;
    board.hears("valid true")?;
    Ok(board.said())
}

fn emulator() -> Result<()> {
    if process::find(QEMU.1).is_none() {
        packages::install(&[QEMU.0])?;
    }
    Ok(())
}
