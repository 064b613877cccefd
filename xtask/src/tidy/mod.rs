//! `cargo xtask tidy`: the rules of the house that the compiler does not know, checked by reading files and `cargo metadata`.
//!
//! Each rule is a function from text to findings, so that its tests are plain samples; this file only feeds them. Exceptions with a
//! reason are in `xtask/tidy.toml`. Warnings are shown and do not fail the run.

mod arrows;
mod finding;
mod graph;
mod licences;
mod migrations;
mod scan;
mod sources;
mod sql;
mod words;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use finding::{Exceptions, Finding, Severity};

/// Checks every rule.
///
/// # Errors
/// When a rule is broken (the places are printed), or the repository cannot be read.
pub fn run() -> Result<()> {
    let exceptions = Exceptions::read(&process::root().join("xtask/tidy.toml"))?;
    let findings = exceptions.apply(collect()?);
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    if errors > 0 {
        bail!(
            "{errors} rules of the house are broken, see above; exceptions go into xtask/tidy.toml with a reason"
        );
    }
    cargo_deny()
}

/// Lists all migrations as published, so that they can never change again; returns those that are new in the list.
///
/// # Errors
/// When a published migration was edited, or the list cannot be written.
pub fn freeze_migrations() -> Result<Vec<String>> {
    migrations::freeze(&process::root().join(migrations::FOLDER))
}

fn collect() -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in files()? {
        // What is listed may have been deleted since; what is not text has no words.
        let Ok(text) = std::fs::read_to_string(process::root().join(&path)) else {
            continue;
        };
        findings.extend(words::check(&path, &text));
        if path.ends_with(".rs") {
            let source = scan::scan(&text);
            findings.extend(sources::check(&path, &text, &source));
            findings.extend(sql::check(&path, &source));
        }
        if path.ends_with("Cargo.lock") || path.ends_with("package-lock.json") {
            findings.extend(words::check_lock(&path, &text));
        }
    }
    let policy = licences::Policy::read(&process::root().join("deny.toml"))?;
    let graph = graph::Graph::load()?;
    findings.extend(arrows::check(&graph));
    findings.extend(policy.check(&graph));
    findings.extend(migrations::check(
        &process::root().join(migrations::FOLDER),
    )?);
    Ok(findings)
}

/// Returns the files of the repository, new ones included, what git ignores not; sorted.
fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ])
    .current_dir(process::root());
    let list = process::read(&mut git).context("tidy reads the list of files from git")?;
    let mut files: Vec<String> = list
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect();
    files.sort();
    Ok(files)
}

/// Runs `cargo deny` where it is installed: it knows the advisories too.
fn cargo_deny() -> Result<()> {
    if process::find("cargo-deny").is_none() {
        return Ok(());
    }
    process::run(process::cargo().args(["deny", "--workspace", "check"]))
}
