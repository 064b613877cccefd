//! Builds the first stage and the firmware of the emulated board, and makes images and a flash of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::firmware::chips;
use crate::firmware::toolchain::Toolchain;
use crate::process;

const TARGET: &str = "riscv32imc-unknown-none-elf";
/// Most bytes of an image: twice what it has, far from the 1,966,080 of a slot.
const BUDGET: u64 = 600_000;

/// What was built.
#[derive(Debug)]
pub struct Images {
    /// The first stage.
    pub loader: PathBuf,
    pack: PathBuf,
    plain: PathBuf,
    extra: PathBuf,
    crash: PathBuf,
    times: PathBuf,
}

/// A firmware that differs in more than its version.
#[derive(Debug, Clone, Copy)]
pub enum Build {
    /// As it is.
    Plain,
    /// With one more sensor.
    Extra,
    /// Crashes a moment after its start.
    Crash,
    /// Says how long things take, and ends.
    Times,
}

impl Images {
    /// Builds everything.
    ///
    /// # Errors
    /// When something does not compile, or there is no compiler.
    pub fn build() -> Result<Self> {
        let toolchain = Toolchain::find(TARGET)?;
        let target = process::target_folder().join("firmware/virt");
        let made = target.join(TARGET).join("release");
        let build = |feature: Option<&str>| -> Result<PathBuf> {
            let mut command = toolchain.cargo();
            command.args([
                "build",
                "--quiet",
                "--locked",
                "--release",
                "--package",
                "espalier-virt",
            ]);
            command
                .args(["--target", TARGET])
                .arg("--target-dir")
                .arg(&target);
            command.args(toolchain.arguments());
            // From it on the board believes certificates.
            command.env("SOURCE_DATE_EPOCH", chips::date());
            command.args(feature.iter().flat_map(|name| ["--features", *name]));
            process::run(&mut command)?;
            let elf = target.join(format!("espalier-virt-{}.elf", feature.unwrap_or("plain")));
            std::fs::copy(made.join("espalier-virt"), &elf)?;
            Ok(elf)
        };
        let (plain, extra, crash) = (build(None)?, build(Some("extra"))?, build(Some("crash"))?);
        let times = build(Some("times"))?;
        Ok(Images {
            loader: made.join("loader"),
            pack: packer()?,
            plain,
            extra,
            crash,
            times,
        })
    }

    /// Makes an image that says it is a version.
    ///
    /// # Errors
    /// When it is larger than it may be.
    pub fn make(&self, build: Build, version: &str, folder: &Path) -> Result<PathBuf> {
        let elf = match build {
            Build::Plain => &self.plain,
            Build::Extra => &self.extra,
            Build::Crash => &self.crash,
            Build::Times => &self.times,
        };
        let image = folder.join(format!("{version}.bin"));
        let mut command = Command::new(&self.pack);
        process::read(command.arg("image").arg(elf).arg(version).arg(&image))?;
        let size = std::fs::metadata(&image)?.len();
        println!("image {version}: {size} bytes");
        ensure!(
            size <= BUDGET,
            "the image has {size} bytes, but may have {BUDGET}"
        );
        Ok(image)
    }

    /// Makes the flash of a new board that knows nothing, or whom to believe over https.
    ///
    /// # Errors
    /// When the image does not fit, or the authority is none.
    pub fn flash(&self, image: &Path, flash: &Path, authority: Option<&Path>) -> Result<()> {
        let mut command = Command::new(&self.pack);
        command.arg("flash").arg(image).arg(flash).args(authority);
        process::read(&mut command)?;
        Ok(())
    }
}

fn packer() -> Result<PathBuf> {
    let target = process::target_folder().join("firmware/host");
    let mut command = process::cargo();
    command.args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "espalier-virt-pack",
    ]);
    command.arg("--target-dir").arg(&target);
    process::run(command.current_dir(process::root().join("firmware")))
        .context("the packer of the emulated board does not build")?;
    Ok(target.join("debug/espalier-virt-pack"))
}
