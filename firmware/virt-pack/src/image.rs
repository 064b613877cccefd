//! Images for the emulated board: what the compiler made, as one piece of memory, in the form of an ESP32-C3's image.

use anyhow::{Context, Result, ensure};
use espalier_device::update::table::SLOTS;
use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_image::make::Make;
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, read::elf::ElfFile32};

/// Where the firmware runs: its first instruction is its first byte.
const APP: u64 = 0x8020_0000;
/// The name of the project in every image.
const PROJECT: &str = "espalier-virt";

/// Makes an image.
///
/// # Errors
/// When the file is no program for this board, or too large for a slot.
pub fn make(elf: &[u8], version: &str) -> Result<Vec<u8>> {
    let code = memory(elf)?;
    let image = Make {
        chip: Chip::Esp32C3,
        project: PROJECT,
        version,
        payload: &code,
        ..Make::default()
    }
    .bytes();
    // What the loader would refuse is not made.
    let parsed = app::parse(&image).context("the image that was made is none")?;
    parsed.fits(u64::from(SLOTS[0].size))?;
    Ok(image)
}

/// Returns the memory from the firmware's place on, as it is before the firmware starts.
fn memory(elf: &[u8]) -> Result<Vec<u8>> {
    let file = ElfFile32::<Endianness>::parse(elf).context("it is no ELF file")?;
    let (endian, header) = (file.endian(), file.elf_header());
    let entry: u32 = FileHeader32::e_entry(header, endian);
    ensure!(
        u64::from(entry) == APP,
        "the program begins at {entry:#x}, not at {APP:#x}"
    );
    let mut memory = Vec::new();
    for part in header.program_headers(endian, elf)? {
        let bytes = part
            .data(endian, elf)
            .ok()
            .context("the file is cut short")?;
        if part.p_type(endian) != PT_LOAD || bytes.is_empty() {
            continue;
        }
        let at = u64::from(part.p_paddr(endian)).checked_sub(APP);
        let at = usize::try_from(at.context("a part of the program lies before its place")?)?;
        ensure!(
            at <= 16 << 20,
            "a part of the program lies beyond the memory"
        );
        if memory.len() < at + bytes.len() {
            memory.resize(at + bytes.len(), 0);
        }
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
    ensure!(!memory.is_empty(), "the program has no code");
    Ok(memory)
}
