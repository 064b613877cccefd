//! Checks of firmware files against tools that somebody else wrote: what is sound and what is damaged, and what an image says of
//! itself, must be the same for them and for us.
//!
//! Versions of the tools are pinned here; they are kept in the target folder, so that only the first run downloads them.

mod detools;
mod espsecure;
mod esptool;
mod nvs;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::steps::Steps;
use crate::{packages, process, program};

/// Espressif's tools; espsecure is part of the package.
pub const ESPTOOL: &str = "esptool==5.6.0";

/// What the checks share.
struct Bench {
    esptool: PathBuf,
    espalier: PathBuf,
    /// Made images: `good-*.bin` and `bad-*.bin`, and a partition table.
    samples: PathBuf,
}

/// Runs the checks, each as a step.
pub fn run(steps: &mut Steps) {
    steps.step(
        "settings of other firmware (esp-idf-nvs-partition-gen)",
        nvs::check,
    );
    let Some(bench) = steps.value("images to look at", Bench::prepare) else {
        return;
    };
    steps.step("images (esptool)", || esptool::images(&bench));
    steps.step("merged images (esptool)", || esptool::merged(&bench));
    steps.step("Secure Boot blocks (espsecure)", || {
        espsecure::check(&bench)
    });
    steps.step("delta patches (detools)", || detools::check(&bench.samples));
}

impl Bench {
    fn prepare() -> Result<Self> {
        let samples = process::target_folder().join("xtask-images");
        if samples.exists() {
            std::fs::remove_dir_all(&samples)?;
        }
        std::fs::create_dir_all(&samples)?;
        let mut command = process::cargo();
        command.args(["run", "-q", "-p", "espalier-image", "--features", "encode"]);
        command.args(["--example", "samples", "--"]).arg(&samples);
        process::run(&mut command)?;
        Ok(Self {
            esptool: packages::ensure_python_tool(ESPTOOL, "esptool")?,
            espalier: program::get()?,
            samples,
        })
    }

    /// What `espalier firmware inspect` says of a file, and whether with exit code 0.
    fn inspect(&self, file: &Path) -> Result<(Value, bool)> {
        let mut command = Command::new(&self.espalier);
        program::clean_environment(&mut command);
        let output = command
            .args(["firmware", "inspect", "--json"])
            .arg(file)
            .output()?;
        let found = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`espalier firmware inspect` printed no JSON: {output:?}"))?;
        Ok((found, output.status.success()))
    }
}
