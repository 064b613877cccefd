//! Children that clean up after themselves, however this program ends.
//!
//! Each is a small `sh` script that starts something, writes one line when it is ready, and then reads its standard input until the
//! end. The other end of that pipe is held here: it closes when the value is dropped and also when this program is killed or
//! panics, and then the script stops what it started and removes its files. The script has a process group of its own, so that
//! Ctrl-C in a terminal reaches it only through the pipe.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A running script; dropping it ends it and waits until its files are gone.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    input: Option<ChildStdin>,
    // Held open so that the script can never fail on a closed pipe while it cleans up.
    output: BufReader<ChildStdout>,
}

impl Supervised {
    /// Starts the script with one line of input and returns it with the line it wrote when ready.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it wrote `ready …`; the message is then what it printed.
    pub fn start(command: &mut Command, secret_line: &str) -> Result<(Self, String)> {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "`{}` could not be started",
                    command.get_program().to_string_lossy()
                )
            })?;
        let mut input = child
            .stdin
            .take()
            .context("a child without a standard input")?;
        let mut output = BufReader::new(
            child
                .stdout
                .take()
                .context("a child without a standard output")?,
        );
        writeln!(input, "{secret_line}").context("the script did not take its input")?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        let Some(ready) = line.strip_prefix("ready") else {
            let mut rest = line;
            drop(input);
            output.read_to_string(&mut rest)?;
            child.wait()?;
            bail!("{}", rest.trim());
        };
        let ready = ready.trim().to_owned();
        Ok((
            Self {
                child,
                input: Some(input),
                output,
            },
            ready,
        ))
    }

    /// Ends the script and returns what it wrote since it was ready.
    ///
    /// # Errors
    /// When it wrote something that is not UTF-8.
    pub fn finish(mut self) -> Result<String> {
        self.input.take();
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        Ok(said)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.input.take();
        if let Err(error) = self.child.wait() {
            eprintln!("warning: a helper script was lost: {error}");
        }
    }
}

/// A folder for temporary files that is removed at the end, also when this program is killed.
#[derive(Debug)]
pub struct ScratchFolder {
    path: std::path::PathBuf,
    _script: Supervised,
}

impl ScratchFolder {
    /// Makes an empty folder that only this user can read.
    ///
    /// # Errors
    /// When the folder for temporary files is not writable.
    pub fn new() -> Result<Self> {
        const SCRIPT: &str = r#"
            trap '[ -z "${dir-}" ] || rm -rf "$dir"' EXIT
            trap 'exit 1' HUP INT TERM
            read -r _
            dir=$(mktemp -d "${TMPDIR:-/tmp}/espalier-xtask.XXXXXX") || exit 1
            echo "ready $dir"
            cat >/dev/null
        "#;
        let (script, path) = Supervised::start(Command::new("sh").args(["-c", SCRIPT]), "")
            .context("no temporary folder could be made")?;
        Ok(Self {
            path: path.into(),
            _script: script,
        })
    }

    /// Returns where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{ScratchFolder, Supervised};

    #[test]
    fn a_scratch_folder_is_private_and_vanishes_with_what_is_in_it() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = ScratchFolder::new().unwrap();
        let path = scratch.path().to_path_buf();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o077,
            0
        );
        std::fs::write(path.join("file"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_failing_script_printed_is_the_error() {
        let error = Supervised::start(
            Command::new("sh").args(["-c", "read -r line; echo no $line; exit 3"]),
            "luck",
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "no luck");
    }
}
