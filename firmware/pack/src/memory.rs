//! How much of a chip a firmware needs, read from the sections of its ELF file. Not what it allocates when it runs.

use anyhow::{Context, Result};
use object::{Object, ObjectSection};
use serde::Serialize;

/// Bytes that a firmware needs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Needs {
    /// Flash for the app image.
    pub flash: u64,
    /// RAM for code and data that are always there, the heap's own memory among them.
    pub ram: u64,
    /// RAM that is left for the stack.
    pub stack: u64,
    /// RAM of the bootloader that becomes heap.
    pub reclaimed: u64,
}

impl Needs {
    /// Reads the sections of an ELF file made for esp-hal.
    ///
    /// # Errors
    /// When it is no ELF file, or has no section for the stack.
    pub fn of(elf: &[u8], app: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf).context("the firmware is no ELF file")?;
        let size = |name: &str| file.section_by_name(name).map(|section| section.size());
        let resident = |name: &str| {
            [".trap", ".vectors", ".rwtext", ".data", ".bss", ".noinit"]
                .iter()
                .any(|kind| name == *kind || name.starts_with(&format!("{kind}.")))
        };
        Ok(Needs {
            flash: app.len() as u64,
            ram: file
                .sections()
                .filter(|section| section.name().is_ok_and(resident))
                .map(|section| section.size())
                .sum(),
            stack: size(".stack").context("the firmware has no section `.stack`")?,
            reclaimed: size(".dram2_uninit").unwrap_or(0),
        })
    }
}
