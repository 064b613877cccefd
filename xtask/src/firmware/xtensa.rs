//! Checks the firmware for chips with Xtensa cores with a compiler that cannot make code for them.
//!
//! The released compilers of the Rust project know the names of these targets, but neither their assembly nor a way to link for
//! them. So cargo is asked for the chip's own target, and features, dependencies and build scripts are the chip's; but this
//! program stands between cargo and the compiler ([`stand_in`]) and lets it check everything for the RISC-V core that is most like
//! Xtensa: 32 bits, little endian, with atomics. `target_arch = "xtensa"` is set there, so that all crates choose their code for
//! Xtensa.
//!
//! So every type, borrow, constant and lint of the firmware and of the drivers below it is checked. Inline assembly, what the
//! linker says, and the size are not: for those it takes Espressif's compiler.

use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

use anyhow::{Context, Result};

use super::chips::Firmware;
use crate::{packages, process};

/// When this is set, the program is called as a compiler.
pub const CALLED_AS_COMPILER: &str = "ESPALIER_CHECKS_XTENSA";

/// The target that stands in for Xtensa.
const LIKE_XTENSA: &str = "riscv32imac-unknown-none-elf";
/// What the compiler says of the target that stands in, and must not be heard.
const ITS_ARCH: &str = "target_arch=\"riscv32\"";
/// What is said instead.
const ARCH: &str = "target_arch=\"xtensa\"";

/// Checks one firmware.
///
/// # Errors
/// When the compiler has anything to say.
pub fn check(firmware: Firmware) -> Result<()> {
    packages::ensure_rust_target(LIKE_XTENSA)?;
    let this = std::env::current_exe().context("this program does not know where it is")?;
    let mut command = process::cargo();
    command.current_dir(process::root().join("firmware"));
    command.args(["clippy", "--locked", "--package", "espalier-esp"]);
    command.args(["--features", &firmware.features()]);
    command.args(["--target", firmware.chip.target(), "--target-dir"]);
    command.arg(process::target_folder().join("firmware/xtensa"));
    command.env("RUSTC_WRAPPER", this);
    command.env(CALLED_AS_COMPILER, "1");
    // The crates for Xtensa use what is not stable for it.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env_remove("RUSTFLAGS");
    process::run(&mut command)
}

/// Runs the compiler as cargo wants it, with the target that stands in for Xtensa.
pub fn stand_in(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let (rustc, arguments) = arguments.split_first().context("cargo names no compiler")?;
    let mut command = Command::new(rustc);
    let Some(translated) = translate(arguments) else {
        return status(command.args(arguments));
    };
    command.args(&translated);
    if !arguments.iter().any(|word| word == "--print=cfg") {
        // Cargo caps the lints of what is not ours.
        return status(command.arg("-Dwarnings"));
    }
    // Cargo reads what goes to standard error, too.
    let Output { status, stdout, .. } = command.stderr(Stdio::inherit()).output()?;
    let told = String::from_utf8(stdout)?;
    for line in told.lines().filter(|line| *line != ITS_ARCH) {
        println!("{line}");
    }
    Ok(code(status))
}

fn status(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().context("the compiler does not start")?;
    Ok(code(status))
}

fn code(status: ExitStatus) -> ExitCode {
    if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the arguments for the target that stands in; nothing when they are not for Xtensa, but for this computer.
fn translate(arguments: &[String]) -> Option<Vec<String>> {
    let is_xtensa = |word: &String| word.starts_with("xtensa-") && word.ends_with("-none-elf");
    if !arguments.iter().any(is_xtensa) {
        return None;
    }
    let words = arguments.iter().map(|word| {
        if is_xtensa(word) {
            LIKE_XTENSA.to_owned()
        } else {
            word.clone()
        }
    });
    let more = ["--cfg", ARCH, "-Aexplicit_builtin_cfgs_in_flags"];
    Some(words.chain(more.map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::{ARCH, LIKE_XTENSA, translate};

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_what_is_for_xtensa_gets_another_target() {
        let ours = translate(&words(
            "--crate-name a --target xtensa-esp32-none-elf -Copt-level=s",
        ));
        let ours = ours.unwrap();
        assert_eq!(
            ours.get(..5).unwrap(),
            words(&format!(
                "--crate-name a --target {LIKE_XTENSA} -Copt-level=s"
            ))
        );
        assert!(ours.windows(2).any(|pair| pair == ["--cfg", ARCH]));
        // Build scripts and macros run on this computer; the crates of Xtensa are named like it.
        assert_eq!(translate(&words("-vV")), None);
        assert_eq!(translate(&words("--crate-name xtensa-lx-rt --cfg x")), None);
    }
}
