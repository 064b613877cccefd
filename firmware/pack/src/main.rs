//! Makes a kit from a firmware: `espalier-pack CHIP VARIANT ELF PARTITIONS FOLDER` writes the bootloader, the partition table,
//! the app, all of them in one file, and `kit.json`. Standard output is one JSON object: how much of the chip the firmware needs.
//!
//! The files are made by the espflash library and read again by our own parsers before they are written: a kit that the server
//! or a board would refuse is never made. It flashes nothing.

#[cfg(test)]
mod elf;
mod kit;
mod memory;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use espalier_image::chip::Chip;

const HELP: &str = "\
espalier-pack: make a kit from a firmware

Usage: espalier-pack CHIP VARIANT ELF PARTITIONS FOLDER

  CHIP        esp32, esp32c3, esp32c6 or esp32s3
  VARIANT     the name of the variant, for example base
  ELF         what the compiler made
  PARTITIONS  the partition table as CSV
  FOLDER      where the kit goes; it is made, and what is in it is written again
";

fn run(arguments: &[String]) -> Result<()> {
    let [chip, variant, elf, partitions, folder] = arguments else {
        bail!("it takes five arguments; `espalier-pack --help` names them");
    };
    let chip = Chip::from_name(chip).with_context(|| format!("there is no chip `{chip}`"))?;
    let elf = std::fs::read(elf).with_context(|| format!("{elf} cannot be read"))?;
    let kit = kit::Kit::make(chip, variant, &elf, &PathBuf::from(partitions))?;
    kit.write(&PathBuf::from(folder))?;
    println!(
        "{}",
        serde_json::to_string(&memory::Needs::of(&elf, &kit.app)?)?
    );
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if matches!(arguments.first().map(String::as_str), Some("--help" | "-h")) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
