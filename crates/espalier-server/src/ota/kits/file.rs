//! `kit.json`: a kit as its build describes it. This reads words and numbers; whether they are true of the files is
//! [`super::check`]'s business.

use super::Region;
use crate::ota::library::Digest;
use espalier_image::chip::Chip;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Digest as _;

/// The format that is known here.
const FORMAT: u64 = 1;
/// The longest `kit.json`, bytes.
pub const MAX_KIT_FILE: usize = 64 << 10;
/// The longest variant, characters.
const MAX_VARIANT: usize = 32;
/// The longest name of a file, characters.
const MAX_NAME: usize = 128;
/// The longest notes, characters: with a few words more they describe the image in the library.
const MAX_NOTES: usize = 1800;
/// The parts of a kit, all of them.
const PARTS: [&str; 3] = ["bootloader", "partitions", "app"];

/// What `kit.json` says.
#[derive(Debug, Clone)]
pub struct KitFile {
    /// Which firmware it is, e.g. `base`.
    pub variant: String,
    /// The chip.
    pub chip: Chip,
    /// The project's name.
    pub project: String,
    /// The version.
    pub version: String,
    /// Bytes of flash.
    pub flash_size: u32,
    /// Bootloader, partition table and app, in this order.
    pub parts: [FilePart; 3],
    /// Where a board keeps its settings.
    pub settings: Region,
    /// What says which app starts.
    pub otadata: Region,
    /// What people should know.
    pub notes: String,
}

/// A file of the kit.
#[derive(Debug, Clone)]
pub struct FilePart {
    /// `bootloader`, `partitions` or `app`.
    pub name: &'static str,
    /// The file's name, without folders.
    pub file: String,
    /// Where it goes, and its bytes.
    pub place: Region,
    /// Its SHA-256.
    pub sha256: Digest,
}

#[derive(Deserialize)]
struct Raw {
    variant: String,
    chip: String,
    project: String,
    version: String,
    flash_size: u32,
    parts: Vec<RawPart>,
    settings: RawRegion,
    otadata: RawRegion,
    #[serde(default)]
    notes: String,
}

#[derive(Deserialize)]
struct RawPart {
    name: String,
    file: String,
    offset: u32,
    size: u32,
    sha256: String,
}

#[derive(Deserialize)]
struct RawRegion {
    offset: u32,
    size: u32,
}

impl From<RawRegion> for Region {
    fn from(raw: RawRegion) -> Self {
        Self {
            offset: raw.offset,
            size: raw.size,
        }
    }
}

impl KitFile {
    /// Reads the text of a `kit.json`.
    ///
    /// # Errors
    /// Says in one sentence what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("kit.json is no JSON: {error}."))?;
        match value["format"].as_u64() {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(format!(
                    "kit.json has the format {other}, and only format {FORMAT} is known here: update the server."
                ));
            }
            None => {
                return Err(format!(
                    "kit.json does not say `\"format\": {FORMAT}`: take the one that the build wrote."
                ));
            }
        }
        let raw: Raw = serde_path_to_error::deserialize(value)
            .map_err(|error| format!("kit.json cannot be used: {error}."))?;
        let chip = chip(&raw.chip)?;
        let [variant, project, version] = [
            ("variant", raw.variant, MAX_VARIANT),
            ("project", raw.project, 31),
            ("version", raw.version, 31),
        ]
        .map(|(name, text, limit)| plain(name, text, limit));
        if raw.notes.chars().count() > MAX_NOTES || raw.notes.contains('\0') {
            return Err(format!(
                "The notes of kit.json may have at most {MAX_NOTES} characters."
            ));
        }
        if !(raw.flash_size.is_power_of_two() && (1 << 20..=128 << 20).contains(&raw.flash_size)) {
            return Err(format!(
                "kit.json has the flash size {}, which no board has: it is bytes, a power of two from 1 to 128 MB.",
                raw.flash_size
            ));
        }
        Ok(Self {
            variant: variant?,
            chip,
            project: project?,
            version: version?,
            flash_size: raw.flash_size,
            parts: parts(raw.parts)?,
            settings: raw.settings.into(),
            otadata: raw.otadata.into(),
            notes: raw.notes.trim().to_owned(),
        })
    }

    /// The part with a name that every kit has.
    pub fn part(&self, name: &str) -> Option<&FilePart> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// SHA-256 over what makes the kit what it is: everything but its notes and the names of its files.
    pub fn digest(&self) -> Digest {
        let region = |region: Region| json!([region.offset, region.size]);
        let parts = self.parts.iter();
        let parts =
            parts.map(|part| json!([part.name, region(part.place), hex::encode(part.sha256)]));
        let all = json!([
            FORMAT,
            self.variant,
            self.chip.as_str(),
            self.project,
            self.version,
            self.flash_size,
            parts.collect::<Vec<_>>(),
            region(self.settings),
            region(self.otadata),
        ]);
        sha2::Sha256::digest(all.to_string()).into()
    }
}

fn chip(name: &str) -> Result<Chip, String> {
    let mut all = Chip::ALL.into_iter();
    all.find(|chip| chip.title() == name || chip.as_str() == name)
        .ok_or_else(|| {
            let titles = Chip::ALL.map(Chip::title).join(", ");
            format!(
                "kit.json names the chip {name:?}, which is not known here: take one of {titles}."
            )
        })
}

fn plain(name: &str, text: String, limit: usize) -> Result<String, String> {
    let fits = (1..=limit).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        return Ok(text);
    }
    Err(format!(
        "The {name} of kit.json must have 1 to {limit} plain characters."
    ))
}

fn parts(raw: Vec<RawPart>) -> Result<[FilePart; 3], String> {
    let all = "a kit of format 1 has the parts bootloader, partitions and app, each once";
    if let Some(other) = raw.iter().find(|part| !PARTS.contains(&&*part.name)) {
        return Err(format!("kit.json has a part {:?}: {all}.", other.name));
    }
    let one = |name: &'static str| {
        let mut named = raw.iter().filter(|part| part.name == name);
        let part = match (named.next(), named.next()) {
            (Some(part), None) => part,
            (None, _) => return Err(format!("kit.json has no part {name}: {all}.")),
            (Some(_), Some(_)) => {
                return Err(format!("kit.json has the part {name} twice: {all}."));
            }
        };
        let sha256 = crate::ota::digest(&part.sha256).ok_or_else(|| {
            format!("The sha256 of the part {name} is no SHA-256: it has 64 hexadecimal digits.")
        })?;
        Ok(FilePart {
            name,
            file: file_name(name, &part.file)?,
            place: Region {
                offset: part.offset,
                size: part.size,
            },
            sha256,
        })
    };
    let [bootloader, partitions, app] = PARTS.map(one);
    Ok([bootloader?, partitions?, app?])
}

/// The name of a file beside `kit.json`; it may lead nowhere else.
fn file_name(part: &str, name: &str) -> Result<String, String> {
    let plain = (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '"'])
        && !name.chars().any(char::is_control);
    if plain {
        return Ok(name.to_owned());
    }
    Err(format!(
        "The file of the part {part} is {name:?}: name a file that lies beside kit.json, without folders."
    ))
}
