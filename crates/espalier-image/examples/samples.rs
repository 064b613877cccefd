//! Writes app images into a folder for other tools to judge: `good-*.bin` are sound, `bad-*.bin` are not; and a partition table.
//! `cargo xtask test` lets esptool look at them.

use espalier_image::app::{self, Revision};
use espalier_image::chip::Chip;
use espalier_image::make::Make;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name the folder to write into")?;
    let folder = Path::new(&folder);
    for chip in Chip::ALL {
        let make = Make {
            chip,
            project: "greenhouse",
            version: "v1.2.3-4-g1a2b3c4",
            secure_version: 5,
            min_revision: Revision(103),
            payload: b"water the tomatoes",
        };
        let name = format!("good-{}.bin", chip.as_str());
        std::fs::write(folder.join(name), make.bytes())?;
    }
    let payload: Vec<u8> = (0..70_000u32).map(|n| (n % 251) as u8).collect();
    let good = Make {
        payload: &payload,
        ..Make::default()
    }
    .bytes();
    std::fs::write(folder.join("good-large.bin"), &good)?;
    let mut plain = good.clone();
    plain[23] = 0;
    plain.truncate(good.len() - 32);
    std::fs::write(folder.join("good-no-digest.bin"), &plain)?;
    for (name, bytes) in damaged(&good) {
        std::fs::write(folder.join(format!("bad-{name}.bin")), bytes)?;
    }
    std::fs::write(folder.join("partitions.table"), table())?;
    plain[5000] ^= 1;
    std::fs::write(folder.join("bad-checksum-without-digest.bin"), &plain)?;
    Ok(())
}

/// A partition table with two slots of 1 MB.
fn table() -> Vec<u8> {
    let mut table = Vec::new();
    for (slot, offset) in [(0x10, 0x1_0000u32), (0x11, 0x11_0000)] {
        table.extend([0xAA, 0x50, 0, slot]);
        table.extend(offset.to_le_bytes());
        table.extend(0x10_0000u32.to_le_bytes());
        table.extend(b"slot");
        table.resize(table.len().next_multiple_of(32), 0);
    }
    table.resize(0xC00, 0xFF);
    table
}

/// An image with one fault each.
fn damaged(good: &[u8]) -> Vec<(String, Vec<u8>)> {
    let length = app::parse(good).map_or(good.len(), |image| image.length);
    let flipped = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x40;
        bytes
    };
    // Header, segment headers, descriptor, data, checksum, digest.
    let places = [0, 1, 25, 29, 50, 90, 300, 40_000, length - 33, length - 1];
    let mut all: Vec<_> = places
        .into_iter()
        .map(|at| (format!("byte-{at}"), flipped(at)))
        .collect();
    for left in [0, 20, 40, 300, 50_000, length - 32, length - 1] {
        all.push((format!("cut-{left}"), good[..left].to_vec()));
    }
    all
}
