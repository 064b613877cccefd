//! Makes kits with `espalier-pack`, and lets esptool judge them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::chips::Firmware;
use crate::{packages, process};

/// Least bytes of stack. The task that starts everything has 19 kB on it, the deepest of what it polls is the handshake of TLS with
/// 28 kB, both read from the frames of `full` for the ESP32-C3; an interrupt comes on top.
const STACK: u64 = 51_000;

/// What a firmware needs of its chip, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Needs {
    /// The app image.
    pub flash: u64,
    /// RAM that is always there for code and data.
    pub ram: u64,
    /// RAM that is left for the stack.
    pub stack: u64,
    /// RAM of the bootloader that becomes heap.
    pub reclaimed: u64,
}

/// A kit on disk.
#[derive(Debug)]
pub struct Kit {
    pub folder: PathBuf,
    pub needs: Needs,
}

/// The tools, ready.
#[derive(Debug)]
pub struct Packer {
    program: PathBuf,
    esptool: PathBuf,
}

/// Where the kit of a firmware lies once it is made.
pub fn folder(firmware: Firmware) -> PathBuf {
    process::root()
        .join("firmware/dist")
        .join(firmware.to_string())
}

impl Packer {
    /// Builds the packer and installs esptool.
    ///
    /// # Errors
    /// When one of them is not to be had.
    pub fn prepare() -> Result<Self> {
        process::run(&mut cargo("build"))?;
        Ok(Self {
            program: built().join("debug/espalier-pack"),
            esptool: packages::ensure_python_tool(crate::image_checks::ESPTOOL, "esptool")?,
        })
    }

    /// Runs the packer's own tests, which make a kit of nothing for each chip.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn test() -> Result<()> {
        process::run(&mut cargo("test"))
    }

    /// Makes the kit of a firmware and checks it.
    ///
    /// # Errors
    /// When the firmware is too large, leaves too little stack, or esptool does not find each image valid.
    pub fn pack(&self, firmware: Firmware, elf: &Path) -> Result<Kit> {
        let folder = folder(firmware);
        let kit = self.make(firmware, elf, &folder)?;
        let budget = firmware.variant.budget();
        ensure!(
            kit.needs.flash <= budget,
            "the image has {} bytes, but {firmware} may have {budget}: make it smaller, or raise the budget in chips.rs and say why",
            kit.needs.flash
        );
        ensure!(
            kit.needs.stack >= STACK,
            "{firmware} leaves {} bytes for the stack, but its start takes up to {STACK}: take memory from statics or from the heap in chip.rs",
            kit.needs.stack
        );
        for file in ["bootloader.bin", "app.bin"] {
            self.judge(firmware, &folder.join(file))?;
        }
        Ok(kit)
    }

    /// Fails when another build of the same firmware is another image.
    ///
    /// # Errors
    /// Names both digests.
    pub fn compare(&self, firmware: Firmware, kit: &Kit, elf: &Path) -> Result<()> {
        let folder = process::target_folder().join("firmware/again");
        let again = self.make(firmware, elf, &folder)?;
        let (first, second) = (digest(&kit.folder)?, digest(&again.folder)?);
        ensure!(
            first == second,
            "two builds of {firmware} are two images: SHA-256 {first} and {second}"
        );
        println!("built twice in two folders, one image: SHA-256 {first}");
        Ok(())
    }

    fn make(&self, firmware: Firmware, elf: &Path, folder: &Path) -> Result<Kit> {
        let mut command = Command::new(&self.program);
        command
            .args([firmware.chip.as_str(), firmware.variant.as_str()])
            .arg(elf)
            .arg(process::root().join("firmware/partitions.csv"))
            .arg(folder);
        let told = process::read(&mut command)?;
        Ok(Kit {
            folder: folder.to_owned(),
            needs: serde_json::from_str(&told)
                .with_context(|| format!("espalier-pack printed no sizes: {told}"))?,
        })
    }

    /// Lets Espressif's own tool look at an image.
    fn judge(&self, firmware: Firmware, image: &Path) -> Result<()> {
        let chip = firmware.chip.as_str();
        let mut command = Command::new(&self.esptool);
        command.args(["--chip", chip, "image-info"]).arg(image);
        let told = process::read(&mut command)?;
        ensure!(
            is_valid(&told),
            "esptool does not find checksum and digest of {} valid:\n{told}",
            image.display()
        );
        Ok(())
    }
}

/// Where the packer is built.
fn built() -> PathBuf {
    process::target_folder().join("firmware").join("host")
}

/// Returns a cargo that does something with the packer.
fn cargo(what: &str) -> Command {
    let mut command = process::cargo();
    command.args([what, "--quiet", "--locked", "--package", "espalier-pack"]);
    command.arg("--target-dir").arg(built());
    command.current_dir(process::root().join("firmware"));
    command
}

/// Says whether esptool found both the checksum and the appended digest to be right.
fn is_valid(told: &str) -> bool {
    let line = |name: &str| {
        told.lines()
            .any(|line| line.starts_with(name) && line.ends_with("(valid)"))
    };
    line("Checksum: ") && line("Validation hash: ")
}

/// Returns the SHA-256 of a kit's app.
fn digest(folder: &Path) -> Result<String> {
    let file = folder.join("app.bin");
    let bytes = std::fs::read(&file).with_context(|| format!("{} is gone", file.display()))?;
    let digest = Sha256::digest(bytes);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn both_checks_of_esptool_must_be_there() {
        let checksum = "Checksum: 0x12 (valid)\n";
        assert!(is_valid(&format!(
            "{checksum}Validation hash: 00ff (valid)\n"
        )));
        assert!(!is_valid(&format!(
            "{checksum}Validation hash: 00ff (invalid)\n"
        )));
        assert!(!is_valid(checksum));
    }
}
