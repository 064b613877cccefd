//! Espressif's esptool and `espalier firmware inspect` look at the same images, made ones and real ones, sound ones and damaged
//! ones, and must agree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Bench;
use crate::process;

/// What both tell of a sound image, by name.
type Facts = BTreeMap<&'static str, String>;

/// Compares both on every image.
///
/// # Errors
/// When they do not agree; the message says on what.
pub(super) fn images(bench: &Bench) -> Result<()> {
    let made = files(&bench.samples)?;
    let real = process::root().join("../shared/data/images");
    let real = if real.is_dir() {
        files(&real)?
    } else {
        println!("skipped: this machine has no folder with real images beside the repository");
        Vec::new()
    };
    ensure!(made.len() > 20, "only {} images were made", made.len());
    let count = made.len() + real.len();
    for file in made.into_iter().chain(real) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let theirs = judged_by_esptool(&bench.esptool, &file)?;
        let ours = judged_by_us(bench, &file)?;
        let damaged = name.starts_with("bad-");
        ensure!(
            theirs == ours && theirs.is_none() == damaged,
            "{}: esptool says {theirs:?}, espalier {ours:?}",
            file.display()
        );
    }
    println!("{count} images, one opinion");
    Ok(())
}

/// Lets esptool merge an app with a partition table, from the beginning of flash and from where the bootloader is.
///
/// # Errors
/// When esptool fails, or we do not say where the app is.
pub(super) fn merged(bench: &Bench) -> Result<()> {
    let table = bench.samples.join("partitions.table");
    for (chip, begin) in [
        ("esp32c3", 0),
        ("esp32", 0),
        ("esp32", 0x1000),
        ("esp32p4", 0x2000),
    ] {
        let app = bench.samples.join(format!("good-{chip}.bin"));
        let out = bench.samples.join(format!("merged-{chip}-{begin}"));
        let mut merge = Command::new(&bench.esptool);
        merge.args(["--chip", chip, "merge-bin", "--target-offset"]);
        merge.arg(begin.to_string()).arg("--output").arg(&out);
        process::read(merge.arg("0x8000").arg(&table).arg("0x10000").arg(app))?;
        let (found, _) = bench.inspect(&out)?;
        ensure!(
            found["kind"] == "merged"
                && found["app_offset"] == 0x1_0000 - begin
                && found["app"]["chip"] == chip,
            "{chip}, begun at {begin}: {found}"
        );
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|ending| ending == "bin") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// What esptool tells of an image; nothing when it finds it damaged.
fn judged_by_esptool(esptool: &Path, file: &Path) -> Result<Option<Facts>> {
    let output = Command::new(esptool)
        .args(["--chip", "auto", "image-info"])
        .arg(file)
        .output()
        .context("esptool could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("(invalid") {
        return Ok(None);
    }
    let line = |name: &str| {
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.map(|value| value.trim().to_owned())
    };
    let need =
        |name: &str| line(name).with_context(|| format!("esptool tells no `{name}`:\n{text}"));
    let valid = |value: String| value.trim_end_matches(" (valid)").to_owned();
    let revision = need("Minimal chip revision")?;
    let chip = need("Detected image type")?.to_lowercase().replace('-', "");
    Ok(Some(Facts::from([
        ("chip", chip),
        ("project", need("Project name")?),
        ("version", need("App version")?),
        ("secure version", need("Secure version")?),
        ("entry", need("Entry point")?),
        ("segments", need("Segments")?),
        (
            "revision",
            revision.split(',').next().unwrap_or_default().to_owned(),
        ),
        (
            "flash",
            format!(
                "{} {}",
                need("Flash mode")?.to_lowercase(),
                need("Flash size")?
            ),
        ),
        ("built", need("Compile time")?),
        ("IDF", need("ESP-IDF")?),
        ("ELF", need("ELF file SHA256")?),
        ("checksum", valid(need("Checksum")?)),
        (
            "digest",
            line("Validation hash").map(valid).unwrap_or_default(),
        ),
    ])))
}

/// What our program tells of an image; nothing when it refuses it.
fn judged_by_us(bench: &Bench, file: &Path) -> Result<Option<Facts>> {
    let (found, sound) = bench.inspect(file)?;
    let app = &found["app"];
    if app.is_null() {
        let said = found["what"].as_str().unwrap_or_default();
        ensure!(
            said.ends_with('.'),
            "{}: no sentence: {found}",
            file.display()
        );
        return Ok(None);
    }
    if !sound {
        bail!("{}: sound, but the exit code is not 0", file.display());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let (flash, built) = (&app["flash"], &app["built"]);
    Ok(Some(Facts::from([
        ("chip", text(&app["chip"])),
        ("project", text(&app["project"])),
        ("version", text(&app["version"])),
        ("secure version", number(&app["secure_version"]).to_string()),
        ("entry", format!("{:#x}", number(&app["entry"]))),
        (
            "segments",
            app["segments"].as_array().map_or(0, Vec::len).to_string(),
        ),
        ("revision", text(&app["min_revision"])),
        (
            "flash",
            format!("{} {}MB", text(&flash["mode"]), number(&flash["megabytes"])),
        ),
        (
            "built",
            format!("{} {}", text(&built["date"]), text(&built["time"])),
        ),
        ("IDF", text(&built["idf_version"])),
        ("ELF", text(&app["elf_sha256"])),
        ("checksum", format!("{:#04x}", number(&app["checksum"]))),
        ("digest", text(&app["appended_sha256"])),
    ])))
}
