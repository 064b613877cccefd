//! Makes app images, bootloaders and partition tables that boot nowhere, for tests, simulated boards and the demo: sound in
//! every byte that a parser can check.

use crate::app::{
    CHECKSUM_SEED, DESCRIPTOR, DESCRIPTOR_MAGIC, DESCRIPTOR_SIZE, HEADER, MAGIC, Revision,
};
use crate::chip::Chip;
use crate::partitions::{self, Table};
use sha2::{Digest, Sha256};

/// What an image shall say of itself and hold.
#[derive(Debug, Clone, Copy)]
pub struct Make<'a> {
    /// The chip.
    pub chip: Chip,
    /// The project's name; cut after 31 bytes.
    pub project: &'a str,
    /// The version; cut after 31 bytes.
    pub version: &'a str,
    /// The secure version.
    pub secure_version: u32,
    /// The oldest revision of the chip.
    pub min_revision: Revision,
    /// What the first segment holds after the app descriptor; filled up with zeros to a multiple of four bytes.
    pub payload: &'a [u8],
}

impl Default for Make<'_> {
    fn default() -> Self {
        Self {
            chip: Chip::Esp32C3,
            project: "made",
            version: "1.0.0",
            secure_version: 0,
            min_revision: Revision(0),
            payload: &[],
        }
    }
}

impl Make<'_> {
    /// The image's file.
    pub fn bytes(&self) -> Vec<u8> {
        let (flash_data, ram_code) = (self.chip.flash_data(), self.chip.ram_code());
        let mut file = self.header(ram_code);
        let mut first = self.descriptor();
        first.extend_from_slice(self.payload);
        first.resize(first.len().next_multiple_of(4), 0);
        // Flash is mapped in pages: address and place in the file agree within a page.
        segment(&mut file, flash_data | 0x20, &first);
        // RISC-V's `jump to itself`; nothing ever runs it.
        segment(&mut file, ram_code, &0x0000_006Fu32.to_le_bytes());
        seal(&mut file);
        file
    }

    fn header(&self, entry: u32) -> Vec<u8> {
        let mut header = vec![MAGIC, 2, 2, 0x20];
        header.extend_from_slice(&entry.to_le_bytes());
        header.extend_from_slice(&[0xEE, 0, 0, 0]);
        header.extend_from_slice(&self.chip.id().to_le_bytes());
        header.push(0);
        header.extend_from_slice(&self.min_revision.0.to_le_bytes());
        header.extend_from_slice(&u16::MAX.to_le_bytes());
        header.resize(HEADER - 1, 0);
        header.push(1);
        header
    }

    fn descriptor(&self) -> Vec<u8> {
        let mut all = DESCRIPTOR_MAGIC.to_le_bytes().to_vec();
        all.extend_from_slice(&self.secure_version.to_le_bytes());
        all.extend_from_slice(&[0; 8]);
        text(&mut all, self.version, 32);
        text(&mut all, self.project, 32);
        text(&mut all, "00:00:00", 16);
        text(&mut all, "2026-01-01", 16);
        text(&mut all, "v5.5", 32);
        // There is no ELF file; different contents still tell different builds apart.
        let contents = Sha256::new()
            .chain_update(self.project)
            .chain_update([0])
            .chain_update(self.version)
            .chain_update([0])
            .chain_update(self.payload);
        all.extend_from_slice(&contents.finalize());
        all.extend_from_slice(&[0, 0, 0xFF, 0xFF, 16]);
        all.resize(DESCRIPTOR_SIZE, 0);
        all
    }
}

/// A text in a field, with at least one zero byte after it.
fn text(to: &mut Vec<u8>, text: &str, field: usize) {
    let kept = text.as_bytes().iter().take(field - 1);
    let end = to.len() + field;
    to.extend(kept);
    to.resize(end, 0);
}

fn segment(file: &mut Vec<u8>, address: u32, data: &[u8]) {
    file.extend_from_slice(&address.to_le_bytes());
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(data);
}

/// Appends checksum and digest to header and segments.
fn seal(file: &mut Vec<u8>) {
    let mut sum = CHECKSUM_SEED;
    let mut at = HEADER;
    while let Some(length) = crate::bytes::u32_at(file, at + 4) {
        let data = at + 8;
        at = data + length as usize;
        sum = file[data..at].iter().fold(sum, |sum, byte| sum ^ byte);
    }
    file.resize(file.len() | 15, 0);
    file.push(sum);
    let digest = Sha256::digest(&file);
    file.extend_from_slice(&digest);
    debug_assert!(file.len() > DESCRIPTOR);
}

/// The file of a bootloader that boots nothing: sound in every byte that a parser can check.
pub fn bootloader(chip: Chip) -> Vec<u8> {
    let make = Make {
        chip,
        ..Make::default()
    };
    let mut file = make.header(chip.ram_code());
    // One segment only, which begins with no app descriptor.
    file[1] = 1;
    segment(&mut file, chip.ram_code(), &[0x6F, 0, 0, 0].repeat(64));
    seal(&mut file);
    file
}

/// A partition table as it is in flash, with its MD5.
pub fn partition_table(table: &Table) -> Vec<u8> {
    let mut file = Vec::with_capacity(partitions::SIZE);
    for entry in table.entries() {
        file.extend_from_slice(&[0xAA, 0x50, entry.kind, entry.subtype]);
        file.extend_from_slice(&entry.offset.to_le_bytes());
        file.extend_from_slice(&entry.size.to_le_bytes());
        let mut label = [0; 16];
        for (to, from) in label.iter_mut().zip(entry.label.bytes()) {
            *to = from;
        }
        file.extend_from_slice(&label);
        file.extend_from_slice(&entry.flags.to_le_bytes());
    }
    let digest = md5::Md5::digest(&file);
    file.extend_from_slice(&[0xEB, 0xEB]);
    file.extend_from_slice(&[0xFF; 14]);
    file.extend_from_slice(&digest);
    file.resize(partitions::SIZE, 0xFF);
    file
}
