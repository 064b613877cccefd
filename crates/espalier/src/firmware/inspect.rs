//! `espalier firmware inspect`: what a file is, for people and for programs.

use super::{parse, read, with_ending};
use espalier_image::Hex;
use espalier_image::app::{self, AppImage, Revision};
use espalier_image::keys::{KeySet, PublicKey};
use espalier_image::manifest::Manifest;
use espalier_image::merged::{Kind, MergedApp, recognise};
use espalier_image::partitions::Table;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// What is to be said of a file.
struct Findings {
    /// For programs.
    json: Value,
    /// For people.
    text: String,
    /// Whether it is what it seems to be.
    sound: bool,
}

/// Looks at a file and prints what it is.
pub fn run(file: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let bytes = read(file)?;
    let mut found = look(&bytes)?;
    if found.sound && matches!(recognise(&bytes), Kind::App) {
        found.add_signatures(file, &bytes)?;
    }
    if as_json {
        println!("{}", serde_json::to_string_pretty(&found.json)?);
    } else {
        print!("{}", found.text);
    }
    Ok(if found.sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a file is.
fn look(bytes: &[u8]) -> anyhow::Result<Findings> {
    let kind = recognise(bytes);
    let mut json = json!({ "kind": kind.as_str(), "sound": true, "size": bytes.len() });
    let (mut text, mut sound) = (format!("{kind}\n"), true);
    match kind {
        Kind::App | Kind::Unknown if bytes.first() == Some(&app::MAGIC) => {
            match app::parse(bytes) {
                Ok(image) => {
                    json["app"] = facts(&image);
                    text = sentences(&image)?;
                }
                Err(error) => {
                    json["problem"] = error.to_string().into();
                    (text, sound) = (format!("{error}\n"), false);
                }
            }
        }
        Kind::Merged { table, app } => {
            json["table_offset"] = table.into();
            if let Some(MergedApp {
                offset,
                length: Some(length),
                ..
            }) = app
                && let Some(inner) = bytes.get(offset..offset + length)
                && let Ok(image) = app::parse(inner)
            {
                json["app_offset"] = offset.into();
                json["app"] = facts(&image);
                write!(text, "\n{}", sentences(&image)?)?;
            }
            if let Some(Ok(table)) = bytes.get(table..).map(Table::parse) {
                describe_table(&table, &mut json, &mut text)?;
            }
        }
        Kind::Bootloader { chip } => json["chip"] = chip.as_str().into(),
        Kind::PartitionTable => {
            if let Ok(table) = Table::parse(bytes) {
                describe_table(&table, &mut json, &mut text)?;
            }
        }
        Kind::PartitionCsv | Kind::Manifest | Kind::Key => {
            sound = describe_text(kind, &String::from_utf8_lossy(bytes), &mut json, &mut text)?;
        }
        _ => {}
    }
    json["what"] = match json.get("problem") {
        Some(problem) => problem.clone(),
        None => kind.to_string().into(),
    };
    json["sound"] = sound.into();
    Ok(Findings { json, text, sound })
}

impl Findings {
    /// Says who signed the image, when its manifest lies beside it.
    fn add_signatures(&mut self, file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let image = parse(file, bytes)?;
        let sig = with_ending(file, ".sig");
        let Ok(manifest) = std::fs::read_to_string(&sig) else {
            writeln!(
                self.text,
                "  signed by       nobody: there is no {}",
                sig.display()
            )?;
            return Ok(());
        };
        let problem = match Manifest::parse(&manifest) {
            Ok(manifest) => {
                let size = image.size() as u64;
                let keys: Vec<String> = manifest
                    .signatures
                    .keys()
                    .map(|key| key.to_string())
                    .collect();
                self.json["signed_by"] = keys.clone().into();
                let keys = if keys.is_empty() {
                    "nobody".to_owned()
                } else {
                    keys.join(", ")
                };
                writeln!(
                    self.text,
                    "  signed by       {keys} (`firmware verify` checks it)"
                )?;
                manifest
                    .matches(&image.head, &image.sha256(), size)
                    .err()
                    .map(|error| error.to_string())
            }
            Err(error) => Some(format!("It is no signed manifest: {error}.")),
        };
        if let Some(problem) = problem {
            writeln!(self.text, "  {}: {problem}", sig.display())?;
            self.json["signature_problem"] = problem.into();
        }
        Ok(())
    }
}

fn describe_text(
    kind: Kind,
    content: &str,
    json: &mut Value,
    text: &mut String,
) -> anyhow::Result<bool> {
    let problem = match kind {
        Kind::PartitionCsv => match Table::from_csv(content) {
            Ok(table) => {
                describe_table(&table, json, text)?;
                return Ok(true);
            }
            Err(error) => error.to_string(),
        },
        Kind::Manifest => match Manifest::parse(content) {
            Ok(manifest) => {
                json["manifest"] = json!({
                    "sha256": Hex(&manifest.sha256).to_string(),
                    "size": manifest.size,
                    "chip": manifest.chip.as_str(),
                    "project": manifest.project,
                    "version": manifest.version,
                    "secure_version": manifest.secure_version,
                    "signed_by": manifest.signatures.keys().map(|key| key.to_string()).collect::<Vec<_>>(),
                });
                write!(text, "{content}")?;
                return Ok(true);
            }
            Err(error) => format!("It is no signed manifest: {error}."),
        },
        _ => {
            if let Ok(set) = KeySet::parse(content) {
                json["serial"] = set.serial.into();
                json["keys"] = set.keys.iter().map(|key| key.id().to_string()).collect();
                for key in &set.keys {
                    writeln!(text, "  key {}", key.id())?;
                }
            } else if let Ok(key) = PublicKey::from_file(content) {
                json["keys"] = json!([key.id().to_string()]);
                writeln!(text, "  public key {}", key.id())?;
            }
            return Ok(true);
        }
    };
    writeln!(text, "{problem}")?;
    json["problem"] = problem.into();
    Ok(false)
}

fn describe_table(table: &Table, json: &mut Value, text: &mut String) -> anyhow::Result<()> {
    let entries = table.entries().iter();
    json["partitions"] = entries
        .map(|entry| {
            json!({
                "label": entry.label.as_str(), "type": entry.kind, "subtype": entry.subtype,
                "offset": entry.offset, "size": entry.size,
            })
        })
        .collect();
    writeln!(text, "\npartitions")?;
    for entry in table.entries() {
        writeln!(
            text,
            "  {:<16} 0x{:06x}  {:>8} bytes",
            entry.label, entry.offset, entry.size
        )?;
    }
    match table.slot_size() {
        Ok(size) => {
            json["slot_size"] = size.into();
            writeln!(text, "updates over the air: images up to {size} bytes")?;
        }
        Err(error) => {
            json["ota_problem"] = error.to_string().into();
            writeln!(text, "updates over the air: no. {error}")?;
        }
    }
    Ok(())
}

/// Everything that an image says of itself.
fn facts(image: &AppImage<'_>) -> Value {
    let head = &image.head;
    let segments = image.segments().map(|segment| {
        json!({ "address": segment.address, "offset": segment.offset, "length": segment.data.len() })
    });
    json!({
        "chip": head.chip.as_str(),
        "project": head.project,
        "version": head.version,
        "secure_version": head.secure_version,
        "sha256": Hex(&image.sha256()).to_string(),
        "length": image.length,
        "min_revision": head.min_revision.to_string(),
        "max_revision": head.max_revision.map(|revision| revision.to_string()),
        "min_efuse_revision": head.min_efuse_revision.to_string(),
        "max_efuse_revision": head.max_efuse_revision.map(|revision| revision.to_string()),
        "built": { "date": head.date, "time": head.time, "idf_version": head.idf_version },
        "elf_sha256": Hex(&head.elf_sha256).to_string(),
        "entry": head.entry,
        "flash": {
            "mode": head.flash.mode_name(),
            "megabytes": head.flash.megabytes(),
            "mhz": head.chip.flash_mhz(head.flash.frequency),
        },
        "mmu_page": head.mmu_page,
        "checksum": image.checksum,
        "appended_sha256": image.appended_sha256.map(|digest| Hex(&digest).to_string()),
        "secure_boot": image.secure_boot.map(|found| json!({ "scheme": found.scheme.as_str(), "blocks": found.blocks })),
        "segments": segments.collect::<Vec<_>>(),
    })
}

fn sentences(image: &AppImage<'_>) -> Result<String, std::fmt::Error> {
    let head = &image.head;
    let mut out = String::new();
    let limit = |newest: Option<Revision>| {
        newest.map_or_else(|| "any later".to_owned(), |revision| revision.to_string())
    };
    let unknown = || "unknown".to_owned();
    let known = |number: Option<u32>, unit| {
        number.map_or_else(unknown, |number| format!("{number} {unit}"))
    };
    let mhz = head.chip.flash_mhz(head.flash.frequency).map(u32::from);
    writeln!(
        out,
        "{} {} for {}: a sound app image",
        head.project, head.version, head.chip
    )?;
    writeln!(out, "  size            {} bytes", image.size())?;
    writeln!(out, "  SHA-256         {}", Hex(&image.sha256()))?;
    writeln!(
        out,
        "  built           {} {} with ESP-IDF {}",
        head.date, head.time, head.idf_version
    )?;
    writeln!(out, "  ELF SHA-256     {}", Hex(&head.elf_sha256))?;
    writeln!(out, "  secure version  {}", head.secure_version)?;
    writeln!(
        out,
        "  chip revision   {} to {}",
        head.min_revision,
        limit(head.max_revision)
    )?;
    let mode = head.flash.mode_name().unwrap_or("unknown");
    writeln!(
        out,
        "  flash           {mode}, {}, {}",
        known(head.flash.megabytes(), "MB"),
        known(mhz, "MHz")
    )?;
    writeln!(out, "  entry point     0x{:08x}", head.entry)?;
    writeln!(out, "  checksum        0x{:02x} (right)", image.checksum)?;
    match image.appended_sha256 {
        Some(digest) => writeln!(out, "  digest          {} (right)", Hex(&digest))?,
        None => writeln!(out, "  digest          none")?,
    }
    match image.secure_boot {
        Some(found) => writeln!(
            out,
            "  Secure Boot v2  {} x {} (the chip checks it)",
            found.blocks, found.scheme
        )?,
        None => writeln!(out, "  Secure Boot v2  not signed")?,
    }
    for (number, segment) in image.segments().enumerate() {
        writeln!(
            out,
            "  segment {number:<7} {:>7} bytes at 0x{:08x}",
            segment.data.len(),
            segment.address
        )?;
    }
    Ok(out)
}
