//! `cargo xtask gen`: writes again what is made from the code and checked in, below `docs/generated` and in `web/src`.
//!
//! The program itself prints each document, and the device core its boards, so that nothing here can disagree with them. With
//! `--check` nothing is written, and a document that differs from the tree is an error.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, program, tidy, web};

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Only compare.
    pub check: bool,
    /// Also list the migrations that are not yet listed as published.
    pub freeze_migrations: bool,
}

impl Options {
    /// Reads the words after `gen`.
    ///
    /// # Errors
    /// When a word is unknown.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "--check" => options.check = true,
                "--freeze-migrations" => options.freeze_migrations = true,
                other => bail!("`gen` has no option `{other}`"),
            }
        }
        if options.check && options.freeze_migrations {
            bail!("`--freeze-migrations` writes, `--check` does not: choose one");
        }
        Ok(options)
    }
}

/// A generated document: its file below `docs/generated`, and the arguments with which the program prints it.
const DOCUMENTS: [(&str, &[&str]); 2] = [
    ("openapi.json", &["openapi"]),
    ("configuration.md", &["config", "--markdown"]),
];

/// The boards that the firmware knows by name, where the web app reads them.
const BOARDS: &str = "web/src/areas/firmware/usb/boards.json";

/// Writes or compares every generated file.
///
/// # Errors
/// When the program does not build or does not print a document, or with `--check` when one is stale.
pub fn run(options: &Options) -> Result<()> {
    let mut stale = Vec::new();
    // First of all: the program that is built next embeds it.
    if !update(&process::root().join(BOARDS), &boards()?, options.check)? {
        stale.push(BOARDS.to_owned());
    }
    let program = program::get()?;
    let folder = process::root().join("docs/generated");
    for (file, arguments) in DOCUMENTS {
        let text = print(&program, arguments)?;
        if !update(&folder.join(file), &text, options.check)? {
            stale.push(format!("docs/generated/{file}"));
        }
    }
    if !options.check {
        // The web app's client follows the description of the API.
        web::install()?;
        web::api_types(false)?;
    }
    if options.freeze_migrations {
        for name in tidy::freeze_migrations()? {
            println!("published: {name}");
        }
    }
    if !stale.is_empty() {
        bail!(
            "{} no longer matches the code; `cargo xtask gen` writes it again",
            stale.join(" and ")
        );
    }
    Ok(())
}

fn print(program: &Path, arguments: &[&str]) -> Result<String> {
    let text = process::read(program::clean_environment(
        Command::new(program).args(arguments),
    ))?;
    if text.trim().is_empty() {
        bail!("`espalier {}` printed nothing", arguments.join(" "));
    }
    Ok(text)
}

fn boards() -> Result<String> {
    let package = ["run", "--quiet", "--package", "espalier-device"];
    process::read(process::cargo().args(package).args(["--example", "boards"]))
}

/// Brings one file up to date; with `check_only` returns whether it is instead.
fn update(path: &Path, text: &str, check_only: bool) -> Result<bool> {
    let fresh = std::fs::read_to_string(path).is_ok_and(|old| old == text);
    if fresh || check_only {
        return Ok(fresh);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    println!("wrote {}", path.display());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::{Options, update};
    use crate::supervised::ScratchFolder;

    #[test]
    fn a_check_compares_and_does_not_write() {
        let scratch = ScratchFolder::new().unwrap();
        let path = scratch.path().join("deep/openapi.json");
        assert!(!update(&path, "new", true).unwrap());
        assert!(!path.exists());
        assert!(update(&path, "new", false).unwrap());
        assert!(update(&path, "new", true).unwrap());
        assert!(!update(&path, "newer", true).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn reads_its_options() {
        assert!(Options::parse(&["--check"]).unwrap().check);
        assert!(Options::parse(&["--check", "--freeze-migrations"]).is_err());
        assert!(Options::parse(&["--force"]).is_err());
    }
}
