//! Runs programs and says which one failed and how. It knows where the repository is; it does not interpret what programs print.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Returns the root folder of the repository, wherever in it the command was started.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Returns cargo's target folder.
pub fn target_folder() -> PathBuf {
    environment("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Returns the folder in which a downloaded tool is kept between runs; the name says its version too.
pub fn tool_folder(name: &str) -> PathBuf {
    target_folder().join("xtask-tools").join(name)
}

/// Returns one environment variable, or nothing when it is unset, empty or not UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a program: its environment is its input"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns a command that runs this same cargo in the root of the repository.
pub fn cargo() -> Command {
    let mut command = Command::new(environment("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command.current_dir(root());
    command
}

/// Runs a command with its output going to the terminal.
///
/// # Errors
/// When it cannot be started or ends with another code than 0.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = display(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{shown}` could not be started"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command silently and returns what it wrote to standard output.
///
/// # Errors
/// When it cannot be started, ends with another code than 0 (the message then holds what it wrote to standard error) or writes
/// something else than UTF-8.
pub fn read(command: &mut Command) -> Result<String> {
    let shown = display(command);
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{shown}` could not be started"))?;
    if !status.success() {
        bail!(
            "`{shown}` ended with {status}: {}",
            String::from_utf8_lossy(&stderr).trim()
        );
    }
    String::from_utf8(stdout)
        .with_context(|| format!("`{shown}` wrote something that is not UTF-8"))
}

/// Returns where on the `PATH` a program is.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = environment("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Renders a command as one would type it, for messages.
pub fn display(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
