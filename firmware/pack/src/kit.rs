//! A kit: the files that make a blank chip a board of ours, and `kit.json`, which says what goes where.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_image::merged::{Kind, recognise};
use espalier_image::partitions::{self, Entry, Table};
use espflash::flasher::{FlashData, FlashMode, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip as EspChip, XtalFrequency};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Bytes of the flash of the smallest board that we support.
const FLASH_SIZE: u32 = 4 << 20;
/// The name of the partition for the settings and all other records.
const SETTINGS: &str = "espalier";

/// What is in `kit.json`.
#[derive(Debug, Serialize)]
struct Manifest {
    format: u32,
    variant: String,
    chip: &'static str,
    project: String,
    version: String,
    flash_size: u32,
    parts: Vec<PartEntry>,
    settings: Region,
    otadata: Region,
}

#[derive(Debug, Serialize)]
struct PartEntry {
    name: &'static str,
    file: &'static str,
    offset: u32,
    size: usize,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Region {
    offset: u32,
    size: u32,
}

/// A kit in memory.
pub struct Kit {
    manifest: Manifest,
    bootloader: Vec<u8>,
    partitions: Vec<u8>,
    /// The app image.
    pub app: Vec<u8>,
    merged: Vec<u8>,
}

impl Kit {
    /// Makes the files, and reads them again as the server and boards do.
    ///
    /// # Errors
    /// Says what is wrong with the firmware or with the partition table.
    pub fn make(chip: Chip, variant: &str, elf: &[u8], csv: &Path) -> Result<Self> {
        let mut segments = segments(chip, elf, csv)?.into_iter();
        let (Some(bootloader), Some(table), Some(app), None) = (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) else {
            bail!("espflash did not make exactly a bootloader, a partition table and an app");
        };
        let places = Table::parse(&table.1).context("the partition table that was made")?;
        let image = app::parse(&app.1).context("the app image that was made")?;
        image.head.runs_on(chip)?;
        ensure!(
            image.appended_sha256.is_some(),
            "the app image has no digest at its end"
        );
        let project = format!("espalier-{variant}");
        ensure!(
            image.head.project == project,
            "the app calls itself `{}`, but the variant {variant} is `{project}`",
            image.head.project
        );
        image.fits(u64::from(places.slot_size()?))?;
        check_places(&places, bootloader.0, chip, table.0, app.0)?;
        let region = |wanted: &dyn Fn(&Entry) -> bool, what: &str| {
            let entry = places.entries().iter().find(|entry| wanted(entry));
            entry
                .map(|entry| Region {
                    offset: entry.offset,
                    size: entry.size,
                })
                .with_context(|| format!("the partition table has no {what}"))
        };
        let manifest = Manifest {
            format: 1,
            variant: variant.to_owned(),
            chip: chip.title(),
            project: image.head.project.to_owned(),
            version: image.head.version.to_owned(),
            flash_size: FLASH_SIZE,
            settings: region(
                &|entry| entry.label == SETTINGS,
                "partition for the settings",
            )?,
            otadata: region(&Entry::is_ota_data, "OTA data")?,
            parts: vec![
                part("bootloader", "bootloader.bin", &bootloader),
                part("partitions", "partitions.bin", &table),
                part("app", "app.bin", &app),
            ],
        };
        let merged = merge(&[&bootloader, &table, &app])?;
        ensure!(
            matches!(
                recognise(&merged),
                Kind::Merged { app: Some(found), .. } if found.length == Some(app.1.len())
            ),
            "the merged image is not recognised as one with this app"
        );
        Ok(Kit {
            manifest,
            bootloader: bootloader.1,
            partitions: table.1,
            app: app.1,
            merged,
        })
    }

    /// Writes the files into a folder, which is made when it is not there.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let mut text = serde_json::to_string_pretty(&self.manifest)?;
        text.push('\n');
        for (name, bytes) in [
            ("bootloader.bin", self.bootloader.as_slice()),
            ("partitions.bin", &self.partitions),
            ("app.bin", &self.app),
            ("merged.bin", &self.merged),
            ("kit.json", text.as_bytes()),
        ] {
            let file = folder.join(name);
            std::fs::write(&file, bytes)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        Ok(())
    }
}

/// Bytes with the place in flash where they belong.
type Placed = (u32, Vec<u8>);

/// Lets espflash make bootloader, partition table and app, in this order.
fn segments(chip: Chip, elf: &[u8], csv: &Path) -> Result<Vec<Placed>> {
    let target = match chip {
        Chip::Esp32 => EspChip::Esp32,
        Chip::Esp32C3 => EspChip::Esp32c3,
        Chip::Esp32C6 => EspChip::Esp32c6,
        Chip::Esp32S3 => EspChip::Esp32s3,
        other => bail!("there is no firmware for {other}"),
    };
    let settings = FlashSettings::new(Some(FlashMode::Dio), Some(FlashSize::_4Mb), None);
    let data = FlashData::new(settings, 0, None, target, XtalFrequency::_40Mhz);
    let made = IdfBootloaderFormat::new(elf, &data, Some(csv), None, None, Some("ota_0"))?;
    Ok(made
        .flash_segments()
        .map(|segment| (segment.addr, segment.data().to_vec()))
        .collect())
}

/// Holds espflash to the places that chip and table name.
fn check_places(table: &Table, boot: u32, chip: Chip, at: u32, app: u32) -> Result<()> {
    let first = table.entries().iter().find(|entry| entry.slot() == Some(0));
    ensure!(
        boot == chip.bootloader_offset(),
        "the bootloader of {chip} does not belong at {boot:#x}"
    );
    ensure!(
        usize::try_from(at)? == partitions::OFFSET,
        "the partition table does not belong at {at:#x}"
    );
    ensure!(
        first.is_some_and(|slot| slot.offset == app),
        "the app does not belong at {app:#x}"
    );
    let end = table
        .entries()
        .iter()
        .map(|e| e.offset.saturating_add(e.size))
        .max();
    ensure!(
        end.is_some_and(|end| end <= FLASH_SIZE),
        "the partition table is made for a larger flash than {FLASH_SIZE} bytes"
    );
    Ok(())
}

fn part(name: &'static str, file: &'static str, (offset, bytes): &Placed) -> PartEntry {
    PartEntry {
        name,
        file,
        offset: *offset,
        size: bytes.len(),
        sha256: hex::encode(Sha256::digest(bytes)),
    }
}

/// Puts everything in one file, to be flashed at 0; what lies between is erased flash.
fn merge(parts: &[&Placed]) -> Result<Vec<u8>> {
    let mut merged = Vec::new();
    for (offset, bytes) in parts {
        let offset = usize::try_from(*offset)?;
        ensure!(
            merged.len() <= offset,
            "a part of the kit reaches into the next one"
        );
        merged.resize(offset, 0xff);
        merged.extend_from_slice(bytes);
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use espalier_image::app;
    use espalier_image::chip::Chip;
    use espalier_image::merged::{Kind, recognise};

    use super::{Kit, merge};
    use crate::elf;

    fn kit(chip: Chip) -> Kit {
        let csv = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../partitions.csv"));
        Kit::make(chip, "base", &elf::firmware(chip, "espalier-base"), &csv).unwrap()
    }

    #[test]
    fn each_chip_finds_its_parts_where_it_looks_for_them() {
        for (chip, title, bootloader, id) in [
            (Chip::Esp32, "ESP32", 0x1000, 0),
            (Chip::Esp32C3, "ESP32-C3", 0, 5),
            (Chip::Esp32C6, "ESP32-C6", 0, 13),
            (Chip::Esp32S3, "ESP32-S3", 0, 9),
        ] {
            let kit = kit(chip);
            let offsets: Vec<u32> = kit.manifest.parts.iter().map(|part| part.offset).collect();
            assert_eq!(offsets, [bootloader, 0x8000, 0x1_0000], "{chip}");
            assert_eq!(kit.manifest.chip, title);
            let region = |region: &super::Region| (region.offset, region.size);
            assert_eq!(region(&kit.manifest.otadata), (0xd000, 0x2000));
            assert_eq!(region(&kit.manifest.settings), (0x3d_0000, 0x2_0000));
            assert_eq!(recognise(&kit.bootloader), Kind::Bootloader { chip });
            for image in [&kit.bootloader, &kit.app] {
                assert_eq!(image[12..14], [id, 0], "{chip}");
            }
            assert_eq!(app::parse(&kit.app).unwrap().head.project, "espalier-base");
            // What is flashed at 0 holds each part at its place, and before a bootloader that begins later erased flash.
            let begin = usize::try_from(bootloader).unwrap();
            assert!(kit.merged.iter().take(begin).all(|byte| *byte == 0xff));
            assert!(kit.merged[begin..].starts_with(&kit.bootloader));
            assert!(kit.merged[0x1_0000..].starts_with(&kit.app));
        }
    }

    #[test]
    fn what_is_for_another_chip_or_variant_is_no_kit() {
        let csv = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../partitions.csv"));
        let elf = elf::firmware(Chip::Esp32S3, "espalier-base");
        let refused = |chip, variant| {
            Kit::make(chip, variant, &elf, &csv)
                .map(|_| ())
                .unwrap_err()
        };
        let error = refused(Chip::Esp32S3, "full").to_string();
        assert!(
            error.contains("the variant full is `espalier-full`"),
            "{error}"
        );
        let error = refused(Chip::Esp32S2, "base").to_string();
        assert_eq!(error, "there is no firmware for ESP32-S2");
    }

    #[test]
    fn parts_are_merged_with_erased_flash_between_them() {
        let merged = merge(&[&(0, vec![1, 2]), &(4, vec![3])]).unwrap();
        assert_eq!(merged, [1, 2, 0xff, 0xff, 3]);
        let error = merge(&[&(0, vec![1, 2]), &(1, vec![3])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a part of the kit reaches into the next one"
        );
    }
}
