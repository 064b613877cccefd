//! The table of what each firmware needs, `docs/generated/firmware-sizes.md`. Whoever builds writes the rows of what was built;
//! what a test run builds is compared with it.
//!
//! A newer compiler makes images of slightly other sizes. So the table tells thousands of bytes, and a build may differ from it
//! by one part in fifty before somebody must write it again.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::chips::Firmware;
use super::pack::Needs;
use super::times::Times;

/// Where the table is, below the root.
pub const TABLE: &str = "docs/generated/firmware-sizes.md";
/// A build may be so many times smaller or larger than one part in the table.
const TOLERANCE: u64 = 50;

const HEAD: &str = "\
# What the firmware needs

Made by `cargo xtask firmware`; a test run fails when a build differs by more than 2 %. In kB (1,000 bytes).

*Flash* is the app image, of which a slot holds 1,966. *Budget* is what the build allows. *RAM* is always in use: code that must
not be in flash, data, buffers, and the heap's first part. *Heap from the bootloader* is memory that is free once the app runs.
*Stack* is what remains. *Check* is how long SHA-256 and the signature of the image take before it may start, in milliseconds: the
instructions that the emulated board needs for it, at 160 MHz and one in each cycle.

| firmware | flash | budget | RAM | heap from the bootloader | stack | check |
|---|---:|---:|---:|---:|---:|---:|
";

/// What the times that are the same for all are of.
const DIGEST: &str = "SHA-256 of a million bytes";
const SIGNATURE: &str = "an Ed25519 signature";

/// What stands over the times that are the same for all.
const COMMON: &str = "
Counted in the same way, in milliseconds, for every variant:

| what | time |
|---|---:|
";

/// Writes the rows of what was built; those of other firmware stay.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, rows: &[(Firmware, Needs)], times: &Times) -> Result<()> {
    let old = std::fs::read_to_string(path).unwrap_or_default();
    if is_close(&old, rows, times).is_ok() {
        return Ok(());
    }
    std::fs::write(path, render(&old, rows, times))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Compares builds with the table.
///
/// # Errors
/// Names what differs.
pub fn check(path: &Path, rows: &[(Firmware, Needs)], times: &Times) -> Result<()> {
    let old = std::fs::read_to_string(path)
        .with_context(|| format!("{TABLE} is not there; `cargo xtask firmware` writes it"))?;
    is_close(&old, rows, times)
}

/// Returns the times that the table tells, to the millisecond; none when it tells none.
pub fn times(path: &Path) -> Option<Times> {
    let table = std::fs::read_to_string(path).ok()?;
    let us = |what| row::<1>(&table, what).map(|[ms]| ms * 1000);
    Some(Times {
        digest: us(DIGEST)?,
        signature: us(SIGNATURE)?,
    })
}

/// The times that are the same for all variants, in milliseconds.
fn common(times: &Times) -> [(&'static str, u64); 2] {
    [
        (DIGEST, kilo(times.digest)),
        (SIGNATURE, kilo(times.signature)),
    ]
}

fn render(old: &str, rows: &[(Firmware, Needs)], times: &Times) -> String {
    let mut text = HEAD.to_owned();
    for firmware in Firmware::all() {
        let built = rows.iter().find(|(built, _)| *built == firmware);
        let row = match built {
            Some((_, needs)) => Some(kilos(firmware, needs, times)),
            None => row(old, &firmware.to_string()),
        };
        if let Some([flash, budget, ram, reclaimed, stack, check]) = row {
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "| {firmware} | {flash} | {budget} | {ram} | {reclaimed} | {stack} | {check} |"
            );
        }
    }
    text.push_str(COMMON);
    for (what, ms) in common(times) {
        let _ = writeln!(text, "| {what} | {ms} |");
    }
    text
}

/// What the table tells of a firmware, in its order.
fn kilos(firmware: Firmware, needs: &Needs, times: &Times) -> [u64; 6] {
    [
        needs.flash,
        firmware.variant.budget(),
        needs.ram,
        needs.reclaimed,
        needs.stack,
        times.check(needs.flash),
    ]
    .map(kilo)
}

/// Finds the row of a firmware in a table.
fn row<const N: usize>(table: &str, name: &str) -> Option<[u64; N]> {
    table.lines().find_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        if cells.next()? != name {
            return None;
        }
        let numbers: Vec<u64> = cells.filter_map(|cell| cell.parse().ok()).collect();
        numbers.try_into().ok()
    })
}

fn kilo(bytes: u64) -> u64 {
    bytes.saturating_add(500) / 1000
}

fn is_close(table: &str, rows: &[(Firmware, Needs)], times: &Times) -> Result<()> {
    let far = |(told, built): (&u64, &u64)| told.abs_diff(*built) > told / TOLERANCE + 1;
    for (firmware, needs) in rows {
        let told: [u64; 6] = row(table, &firmware.to_string()).with_context(|| {
            format!("{firmware} is not in {TABLE}; `cargo xtask firmware` writes it")
        })?;
        let built = kilos(*firmware, needs, times);
        if told.iter().zip(&built).any(far) {
            bail!(
                "{TABLE} says {told:?} of {firmware}, but it needs {built:?}; `cargo xtask firmware` writes it again"
            );
        }
    }
    for (what, ms) in common(times) {
        let told: Option<[u64; 1]> = row(table, what);
        if told.is_none_or(|[told]| far((&told, &ms))) {
            bail!(
                "{TABLE} says {told:?} ms for {what}, but it takes {ms}; `cargo xtask firmware` writes it again"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::chips::Firmware;
    use super::super::pack::Needs;
    use super::super::times::Times;
    use super::{is_close, render};
    use crate::supervised::ScratchFolder;

    #[test]
    fn a_table_is_true_within_two_parts_in_a_hundred() {
        let needs = Needs {
            flash: 800_000,
            ram: 100_000,
            stack: 150_000,
            reclaimed: 65_536,
        };
        let rows: Vec<_> = Firmware::all().map(|firmware| (firmware, needs)).collect();
        let times = Times {
            digest: 900_000,
            signature: 60_000,
        };
        let table = render("", &rows, &times);
        is_close(&table, &rows, &times).unwrap();
        let with = |flash| vec![(rows[0].0, Needs { flash, ..needs })];
        is_close(&table, &with(816_000), &times).unwrap();
        let error = is_close(&table, &with(820_000), &times)
            .unwrap_err()
            .to_string();
        assert!(error.contains("of base-esp32,"), "{error}");
        assert!(is_close(super::HEAD, &rows, &times).is_err());
        let file = ScratchFolder::new().unwrap();
        let path = file.path().join("sizes.md");
        assert_eq!(super::times(&path), None);
        std::fs::write(&path, &table).unwrap();
        assert_eq!(super::times(&path), Some(times));
        let slower = Times {
            signature: 70_000,
            ..times
        };
        let error = is_close(&table, &rows, &slower).unwrap_err().to_string();
        assert!(error.contains("ms for an Ed25519 signature"), "{error}");
        // What was not built keeps its row.
        let grown = render(&table, &with(900_000), &times);
        is_close(&grown, &with(900_000), &times).unwrap();
        is_close(&grown, &rows[1..], &times).unwrap();
    }
}
