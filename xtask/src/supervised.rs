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
    _output: BufReader<ChildStdout>,
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
                _output: output,
            },
            ready,
        ))
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Supervised;

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
