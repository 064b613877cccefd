//! ELF files as the linker makes them for each chip, with nothing in them that runs: for tests alone.

use espalier_image::chip::Chip;

/// What sections hold that are loaded.
const PROGRAM: u32 = 1;
const STRINGS: u32 = 3;
/// Memory that is there, and code in it.
const ALLOCATED: u32 = 2;
/// Bytes of the file's header, and of each section's.
const HEADER: usize = 52;
const SECTION: u32 = 40;

/// Makes the ELF file of a firmware for a chip that calls itself `project`.
pub fn firmware(chip: Chip, project: &str) -> Vec<u8> {
    let code = match chip {
        Chip::Esp32 => 0x400d_0020,
        _ => 0x4201_0020,
    };
    let sections: [(&str, u32, Vec<u8>); 3] = [
        (
            ".flash.appdesc",
            (chip.flash_data() & !0xffff) | 0x20,
            descriptor(project),
        ),
        (".text", code, vec![0x11; 64]),
        (".rwtext", chip.ram_code(), vec![0x22; 64]),
    ];
    let mut file = vec![0; HEADER];
    let mut names = vec![0];
    let mut table = vec![0; SECTION as usize];
    for (name, address, bytes) in &sections {
        entry(
            &mut table,
            &mut names,
            name,
            PROGRAM,
            *address,
            (file.len(), bytes.len()),
        );
        file.extend_from_slice(bytes);
    }
    let (at, length) = (file.len(), names.len() + ".shstrtab\0".len());
    entry(
        &mut table,
        &mut names,
        ".shstrtab",
        STRINGS,
        0,
        (at, length),
    );
    file.extend_from_slice(&names);
    file.resize(file.len().next_multiple_of(4), 0);
    let begin = number(file.len());
    file.extend_from_slice(&table);
    let machine: u16 = match chip {
        Chip::Esp32 | Chip::Esp32S3 => 94,
        _ => 243,
    };
    // 32 bits, little endian, executable; one header for each section, the names in the last one.
    let mut header = b"\x7fELF\x01\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend_from_slice(&2u16.to_le_bytes());
    header.extend_from_slice(&machine.to_le_bytes());
    for word in [1, code, 0, begin, 0] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    for half in [HEADER as u16, 32, 0, SECTION as u16, 5, 4] {
        header.extend_from_slice(&half.to_le_bytes());
    }
    file.splice(..HEADER, header);
    file
}

fn entry(
    table: &mut Vec<u8>,
    names: &mut Vec<u8>,
    name: &str,
    kind: u32,
    address: u32,
    (at, length): (usize, usize),
) {
    let flags = if kind == PROGRAM { ALLOCATED } else { 0 };
    let words = [
        number(names.len()),
        kind,
        flags,
        address,
        number(at),
        number(length),
        0,
        0,
        4,
        0,
    ];
    for word in words {
        table.extend_from_slice(&word.to_le_bytes());
    }
    names.extend_from_slice(name.as_bytes());
    names.push(0);
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a small file")
}

/// What ESP-IDF and esp-hal put at the beginning of an app.
fn descriptor(project: &str) -> Vec<u8> {
    let mut bytes = 0xabcd_5432u32.to_le_bytes().to_vec();
    bytes.resize(16, 0);
    for text in ["0.1.0", project] {
        let end = bytes.len() + 32;
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(end, 0);
    }
    bytes.resize(176, 0);
    // The oldest and the newest revision of the fuses, the size of a page as a power of two.
    bytes.extend_from_slice(&[0, 0, 0xff, 0xff, 16]);
    bytes.resize(256, 0);
    bytes
}
