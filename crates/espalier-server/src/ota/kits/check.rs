//! Whether a kit boots: every file is what `kit.json` says, and they fit each other. It reads bytes and decides; it keeps nothing.

use super::Region;
use super::file::{FilePart, KitFile};
use bytes::Bytes;
use espalier_image::app;
use espalier_image::merged::{Kind, recognise};
use espalier_image::partitions::{self, Entry, Table};
use sha2::Digest as _;

/// What is erased at once, bytes.
const SECTOR: u32 = 4096;
/// What a board needs for its settings and records: 18 sectors.
const MIN_SETTINGS: u32 = 18 * SECTOR;

/// The files of a kit, in the order of [`KitFile::parts`].
pub type Files = [Bytes; 3];

/// Checks a kit with its files.
///
/// # Errors
/// Says in one sentence what is wrong.
pub fn check(kit: &KitFile, files: &Files) -> Result<(), String> {
    for (part, bytes) in kit.parts.iter().zip(files) {
        same(part, bytes)?;
    }
    let [bootloader, partitions, app] = &kit.parts;
    let [bootloader_bytes, table_bytes, app_bytes] = files;
    check_bootloader(kit, bootloader, bootloader_bytes)?;
    let table = check_table(kit, partitions, table_bytes)?;
    check_app(kit, app, app_bytes)?;
    check_slot(app, &table)?;
    check_regions(kit, &table)?;
    check_overlaps(kit, &table)
}

/// Whether a file is the one that is described.
fn same(part: &FilePart, bytes: &[u8]) -> Result<(), String> {
    let (file, wanted) = (&part.file, part.place.size);
    if usize::try_from(wanted) != Ok(bytes.len()) {
        return Err(format!(
            "{file} has {} bytes, but kit.json says {wanted}: copy the kit again, or build it again.",
            bytes.len()
        ));
    }
    let found: [u8; 32] = sha2::Sha256::digest(bytes).into();
    if found != part.sha256 {
        return Err(format!(
            "{file} has the SHA-256 {}, but kit.json says {}: it was changed after the kit was made; build the kit again.",
            hex::encode(found),
            hex::encode(part.sha256)
        ));
    }
    if !part.place.offset.is_multiple_of(SECTOR) {
        return Err(format!(
            "The part {} is to be written at 0x{:x}, which is no multiple of 0x{SECTOR:x}: correct its offset.",
            part.name, part.place.offset
        ));
    }
    Ok(())
}

fn check_bootloader(kit: &KitFile, part: &FilePart, bytes: &[u8]) -> Result<(), String> {
    let file = &part.file;
    let chip = match recognise(bytes) {
        Kind::Bootloader { chip } => chip,
        Kind::Unknown => {
            return Err(format!(
                "{file} is no sound bootloader: it is damaged, or something else; build the kit again."
            ));
        }
        other => {
            return Err(format!(
                "{file} is no bootloader but something else (kind `{}`): put the bootloader's file in its place.",
                other.as_str()
            ));
        }
    };
    if chip != kit.chip {
        return Err(format!(
            "{file} is a bootloader for {chip}, but the kit is for {}: take the bootloader of that chip.",
            kit.chip
        ));
    }
    let wanted = chip.bootloader_offset();
    if part.place.offset != wanted {
        return Err(format!(
            "The bootloader is to be written at 0x{:x}, but {chip} looks for it at 0x{wanted:x}: correct its offset.",
            part.place.offset
        ));
    }
    Ok(())
}

fn check_table(kit: &KitFile, part: &FilePart, bytes: &[u8]) -> Result<Table, String> {
    let file = &part.file;
    // Ours and those of ESP-IDF, unless somebody changed that: where the firmware looks for its settings, too.
    if usize::try_from(part.place.offset) != Ok(partitions::OFFSET) {
        return Err(format!(
            "The partition table is to be written at 0x{:x}, but bootloader and firmware look for it at 0x{:x}: correct its offset.",
            part.place.offset,
            partitions::OFFSET
        ));
    }
    if part.place.size > SECTOR {
        return Err(format!(
            "{file} has {} bytes, and a partition table has at most {SECTOR}: put the binary partition table in its place.",
            part.place.size
        ));
    }
    let table = Table::parse(bytes).map_err(|error| format!("{file}: {error}"))?;
    // Without two slots a board could never be updated over the air.
    table.ota().map_err(|error| format!("{file}: {error}"))?;
    let beyond = |entry: &&Entry| region(entry).end() > u64::from(kit.flash_size);
    if let Some(entry) = table.entries().iter().find(beyond) {
        return Err(format!(
            "The partition {} ends at 0x{:x}, beyond the flash of 0x{:x} bytes: take a smaller table or the right flash_size.",
            entry.label,
            region(entry).end(),
            kit.flash_size
        ));
    }
    Ok(table)
}

fn check_app(kit: &KitFile, part: &FilePart, bytes: &[u8]) -> Result<(), String> {
    let file = &part.file;
    let image = app::parse(bytes).map_err(|error| format!("{file}: {error}"))?;
    let head = image.head;
    if head.chip != kit.chip {
        return Err(format!(
            "{file} is an app for {}, but the kit is for {}: build it for that chip.",
            head.chip, kit.chip
        ));
    }
    let said = [
        ("project", head.project, &kit.project),
        ("version", head.version, &kit.version),
    ];
    for (what, found, wanted) in said {
        if found != wanted {
            return Err(format!(
                "{file} says that its {what} is {found:?}, but kit.json says {wanted:?}: build the kit again."
            ));
        }
    }
    Ok(())
}

/// Whether the app lies where a board with blank OTA data starts one, and fits there and in every slot.
fn check_slot(app: &FilePart, table: &Table) -> Result<(), String> {
    let ota = table.ota().map_err(|error| error.to_string())?;
    let apps = || table.entries().iter().filter(|entry| entry.is_app());
    let factory = apps().find(|entry| entry.subtype == 0);
    let first = apps()
        .filter(|entry| entry.slot().is_some())
        .min_by_key(|entry| entry.subtype);
    let Some(starts) = factory.or(first) else {
        return Err("The partition table has no app partition.".to_owned());
    };
    if app.place.offset != starts.offset {
        return Err(format!(
            "The app is to be written at 0x{:x}, but a new board starts the partition {} at 0x{:x}: correct its offset.",
            app.place.offset, starts.label, starts.offset
        ));
    }
    let room = starts.size.min(ota.slot_size);
    if app.place.size > room {
        return Err(format!(
            "The app has {} bytes, and the smallest app slot of the partition table has {room}: make the app smaller or the slots larger.",
            app.place.size
        ));
    }
    Ok(())
}

fn check_regions(kit: &KitFile, table: &Table) -> Result<(), String> {
    let Region { offset, size } = kit.otadata;
    let data = table.entries().iter().find(|entry| entry.is_ota_data());
    if let Some(data) = data.filter(|data| region(data) != kit.otadata) {
        return Err(format!(
            "kit.json puts otadata at 0x{offset:x} with 0x{size:x} bytes, but the partition table has it at 0x{:x} with 0x{:x}: take those.",
            data.offset, data.size
        ));
    }
    let Region { offset, size } = kit.settings;
    if !offset.is_multiple_of(SECTOR) || !size.is_multiple_of(SECTOR) || size < MIN_SETTINGS {
        return Err(format!(
            "The settings region (0x{offset:x}, {size} bytes) must begin at a multiple of {SECTOR} and have a multiple of that, at least {MIN_SETTINGS} bytes."
        ));
    }
    let inside = |entry: &&Entry| {
        let place = region(entry);
        place.offset <= offset && kit.settings.end() <= place.end()
    };
    match table.entries().iter().find(inside) {
        Some(entry) if entry.kind == 1 && !is_system(entry) => Ok(()),
        Some(entry) => Err(format!(
            "The settings region lies in the partition {}, which is for something else: put it in a data partition of its own.",
            entry.label
        )),
        None => Err(format!(
            "The settings region (0x{offset:x} to 0x{:x}) does not lie in one data partition of the partition table: put it in one.",
            kit.settings.end()
        )),
    }
}

/// Data partitions that others write: OTA data, the radio's calibration, NVS and its keys, core dumps, fuses.
fn is_system(entry: &Entry) -> bool {
    matches!(entry.subtype, 0..=5)
}

/// Whether two things would be written to the same sectors.
fn check_overlaps(kit: &KitFile, table: &Table) -> Result<(), String> {
    let mut all: Vec<(String, Region)> = Vec::new();
    for part in &kit.parts {
        all.push((format!("the part {}", part.name), part.place));
    }
    all.push(("the settings region".to_owned(), kit.settings));
    all.push(("otadata".to_owned(), kit.otadata));
    for (n, (name, place)) in all.iter().enumerate() {
        let mut others = all.iter().skip(n + 1);
        if let Some((other, _)) =
            others.find(|(_, other)| sectors(*place).overlaps(sectors(*other)))
        {
            return Err(format!(
                "In flash, {name} and {other} overlap: move one of them."
            ));
        }
    }
    // The app lies in its partition; nothing else lies in any.
    for part in kit.parts.iter().filter(|part| part.name != "app") {
        let mut entries = table.entries().iter();
        let hit = entries.find(|entry| {
            // A table may describe itself and its bootloader: types 2 and 3.
            !matches!(entry.kind, 2 | 3) && sectors(part.place).overlaps(region(entry))
        });
        if let Some(entry) = hit {
            return Err(format!(
                "In flash, the part {} reaches into the partition {}: move one of them.",
                part.name, entry.label
            ));
        }
    }
    Ok(())
}

fn region(entry: &Entry) -> Region {
    Region {
        offset: entry.offset,
        size: entry.size,
    }
}

/// A range up to the end of its last sector: what is erased before it is written.
fn sectors(place: Region) -> Region {
    Region {
        size: place
            .size
            .checked_next_multiple_of(SECTOR)
            .unwrap_or(u32::MAX),
        ..place
    }
}
