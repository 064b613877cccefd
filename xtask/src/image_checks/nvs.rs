//! The settings of other firmware against Espressif's own tool: the partition that the tests of the device core read is what the
//! tool makes today.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{packages, process};

const TOOL: &str = "esp-idf-nvs-partition-gen==0.3.0";
const DATA: &str = "crates/espalier-device/tests/data";

/// Makes the partition again and compares.
///
/// # Errors
/// When the tool is missing, or makes something else.
pub(super) fn check() -> Result<()> {
    let python = packages::ensure_python_tool(TOOL, "python3")?;
    let data = process::root().join(DATA);
    let made = process::target_folder().join("xtask-nvs.bin");
    process::run(
        Command::new(python)
            .args(["-m", "esp_idf_nvs_partition_gen", "generate"])
            .arg(data.join("nvs-legacy.csv"))
            .arg(&made)
            .arg("0x4000"),
    )?;
    ensure!(
        std::fs::read(&made)? == std::fs::read(data.join("nvs-legacy.bin"))?,
        "{TOOL} makes another partition of {DATA}/nvs-legacy.csv than nvs-legacy.bin"
    );
    Ok(())
}
