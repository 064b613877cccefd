//! Builds the product's program for the checks that run it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;

/// Builds `espalier` (debug) and returns where it is.
///
/// # Errors
/// When it does not compile; the compiler has said why.
pub fn build() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let mut command = process::cargo();
    command.args([
        "build",
        "--package",
        "espalier",
        "--bin",
        "espalier",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!(
            "`{}` ended with {}",
            process::display(&command),
            output.status
        );
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
    executables
        .next_back()
        .context("cargo built no program `espalier`")
}

/// Takes the settings of the person who runs this out of a command's environment: a check must not depend on them.
pub fn clean_environment(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let known = ["DATABASE_URL", "HOST", "PORT", "RUST_LOG"].contains(&name.as_ref());
        if known || name.starts_with("ESPALIER_") || name.starts_with("RATE_LIMIT_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}
