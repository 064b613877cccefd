//! Makes what the emulated board starts from: an image out of what the compiler made, and the file that is its flash. Runs on the
//! host; starts nothing.

mod flash;
mod image;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
espalier-virt-pack: make images and flash files for the emulated board

Usage: espalier-virt-pack image ELF VERSION IMAGE
       espalier-virt-pack flash IMAGE FLASH [AUTHORITY]

  image   make an image that says it is VERSION out of ELF
  flash   make a new flash with IMAGE in its first slot, for a board that knows nothing, or, for https, the certificate
          in AUTHORITY (DER)
";

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["image", elf, version, out] => {
            let elf = std::fs::read(elf).with_context(|| format!("{elf} cannot be read"))?;
            let image = image::make(&elf, version)?;
            println!("{} bytes", image.len());
            std::fs::write(out, image).with_context(|| format!("{out} cannot be written"))
        }
        ["flash", image, out, authority @ ..] if authority.len() <= 1 => {
            let read =
                |file: &str| std::fs::read(file).with_context(|| format!("{file} cannot be read"));
            let authority = authority.first().map(|file| read(file)).transpose()?;
            let flash = flash::make(&read(image)?, authority.as_deref())?;
            std::fs::write(out, flash).with_context(|| format!("{out} cannot be written"))
        }
        _ => bail!("`espalier-virt-pack --help` says how it is called"),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if matches!(words.first(), Some(&("--help" | "-h"))) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
