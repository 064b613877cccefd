//! The product's program, for the checks that run it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;

/// The program that the tests ran with, once [`keep_tested`] has found it.
static TESTED: OnceLock<PathBuf> = OnceLock::new();

/// Returns a program `espalier`: the one that `ESPALIER_PROGRAM` names, else the one of the tests that ran before, else one that
/// is built now (debug).
///
/// # Errors
/// When it does not compile; the compiler has said why.
pub fn get() -> Result<PathBuf> {
    if let Some(named) = process::environment("ESPALIER_PROGRAM") {
        return Ok(PathBuf::from(named));
    }
    if let Some(tested) = TESTED.get() {
        return Ok(tested.clone());
    }
    built_by(&["build", "--package", "espalier", "--bin", "espalier"])
}

/// Lets all later checks use the program that the tests of the workspace were built with: one that is built alone has other features
/// of the same crates, which would all be compiled again.
///
/// # Errors
/// When the tests do not compile.
pub fn keep_tested() -> Result<()> {
    let tested = built_by(&["test", "--workspace", "--no-run"])?;
    TESTED.get_or_init(|| tested);
    Ok(())
}

/// Runs cargo and returns where it put the program.
fn built_by(arguments: &[&str]) -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(arguments);
    command.args(["--message-format", "json-render-diagnostics"]);
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
    messages
        .lines()
        .filter_map(program_in)
        .next_back()
        .context("cargo built no program `espalier`")
}

/// Reads one message of cargo; nothing when it is not about the program itself, of which the tests of its code are no part.
fn program_in(message: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        target: Target,
        profile: Profile,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let message: Message = serde_json::from_str(message).ok()?;
    let ours = message.target.name == "espalier" && message.target.kind == ["bin"];
    message.executable.filter(|_| ours && !message.profile.test)
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

#[cfg(test)]
mod tests {
    use super::program_in;

    #[test]
    fn only_the_program_itself_is_taken() {
        let message = |name: &str, kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"name":"{name}","kind":["{kind}"]}},"profile":{{"test":{test}}},"executable":"/t/{name}"}}"#
            )
        };
        let found = |name, kind, test| program_in(&message(name, kind, test));
        assert_eq!(
            found("espalier", "bin", false).unwrap().to_str(),
            Some("/t/espalier")
        );
        assert!(found("espalier", "bin", true).is_none());
        assert!(found("espalier", "test", false).is_none());
        assert!(found("xtask", "bin", false).is_none());
        assert!(program_in(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
