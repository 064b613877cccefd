//! The rule that a published migration is never edited: its file must have the digest that is written beside it.
//!
//! `checksums.txt` has one line `SHA-256  name` for each migration that left the house with a release. A migration that is not
//! listed may still be changed; `cargo xtask gen --freeze-migrations` lists all that are there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::finding::Finding;

/// Where the migrations are, relative to the root of the repository.
pub const FOLDER: &str = "crates/espalier-db/migrations";
const LIST: &str = "checksums.txt";

/// Checks the migrations in a folder against its list.
///
/// # Errors
/// When a file is not readable.
pub fn check(folder: &Path) -> Result<Vec<Finding>> {
    let present = digests(folder)?;
    let text = std::fs::read_to_string(folder.join(LIST)).unwrap_or_default();
    Ok(compare(&present, &text))
}

/// Appends every migration that is not yet listed and returns their names.
///
/// # Errors
/// When a listed migration was edited or removed, or the list cannot be written.
pub fn freeze(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(LIST);
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    let present = digests(folder)?;
    if let Some(finding) = compare(&present, &text).first() {
        anyhow::bail!("{finding}");
    }
    let listed = listed(&text);
    let new: Vec<String> = present
        .keys()
        .filter(|name| !listed.contains_key(name.as_str()))
        .cloned()
        .collect();
    for name in &new {
        text.push_str(&format!("{}  {name}\n", present[name]));
    }
    std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(new)
}

fn digests(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("{} is not readable", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('V') && name.ends_with(".sql") {
            let digest = Sha256::digest(std::fs::read(entry.path())?);
            digests.insert(
                name,
                digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            );
        }
    }
    Ok(digests)
}

/// Returns name and digest of each line that is not a comment.
fn listed(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, name)| (name.trim(), digest.trim()))
        .collect()
}

fn compare(present: &BTreeMap<String, String>, list: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, digest) in listed(list) {
        let path = format!("{FOLDER}/{name}");
        match present.get(name) {
            Some(found) if found == digest => {}
            Some(_) => {
                let message =
                    "a published migration was edited; undo that and write a new one instead";
                findings.push(Finding::error("migrations", &path, 0, message));
            }
            None => findings.push(Finding::error(
                "migrations",
                &path,
                0,
                "a published migration is gone; databases in the field have run it",
            )),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{check, freeze};
    use crate::supervised::ScratchFolder;

    #[test]
    fn a_frozen_migration_cannot_change_or_vanish() {
        let scratch = ScratchFolder::new().unwrap();
        let folder = scratch.path();
        let first = folder.join("V1__base.sql");
        std::fs::write(&first, "create table a (id text)").unwrap();
        assert_eq!(check(folder).unwrap(), []);
        assert_eq!(freeze(folder).unwrap(), ["V1__base.sql"]);
        assert_eq!(check(folder).unwrap(), []);

        std::fs::write(folder.join("V2__more.sql"), "create table b (id text)").unwrap();
        assert_eq!(check(folder).unwrap(), [], "what is not listed is free");
        assert_eq!(freeze(folder).unwrap(), ["V2__more.sql"]);
        assert_eq!(freeze(folder).unwrap(), [""; 0]);

        std::fs::write(&first, "create table a (id bigint)").unwrap();
        assert!(check(folder).unwrap()[0].message.contains("edited"));
        assert!(freeze(folder).is_err());
        std::fs::remove_file(&first).unwrap();
        assert!(check(folder).unwrap()[0].message.contains("gone"));
    }
}
