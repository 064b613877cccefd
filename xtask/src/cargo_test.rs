//! Runs `cargo test` with everything shown as it comes, and counts what it says.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::process;

/// Where proptest begins.
const SEED: (&str, &str) = ("PROPTEST_RNG_SEED", "20260101");

/// How many tests passed and failed, doc tests included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
}

/// Runs all tests of the workspace, or those whose path contains the filter, and adds to the count as results arrive.
///
/// With `fixed`, tests that search at random begin where they began the last time, so that a run says the same again.
///
/// Tests that need PostgreSQL read its URL from `TEST_DATABASE_URL`; without one they run on SQLite alone.
///
/// # Errors
/// When a test fails, something does not compile, or no test ran at all.
pub fn run(
    count: &mut Count,
    filter: Option<&str>,
    database_url: Option<&str>,
    fixed: bool,
) -> Result<()> {
    let mut command = process::cargo();
    if fixed {
        command.env(SEED.0, SEED.1);
    }
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(filter);
    match database_url {
        Some(url) => command.env("TEST_DATABASE_URL", url),
        None => command.env_remove("TEST_DATABASE_URL"),
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    let output = child
        .stdout
        .take()
        .context("a child without a standard output")?;
    let mut terminal = std::io::stdout();
    for line in BufReader::new(output).split(b'\n') {
        let mut line = line?;
        if let Some(part) = parse(&String::from_utf8_lossy(&line)) {
            count.passed += part.passed;
            count.failed += part.failed;
        }
        line.push(b'\n');
        terminal.write_all(&line)?;
    }
    let status = child.wait()?;
    if count.failed > 0 {
        bail!(
            "{} of {} tests failed",
            count.failed,
            count.failed + count.passed
        );
    }
    if !status.success() {
        bail!("`cargo test` ended with {status}");
    }
    if count.passed == 0 {
        match filter {
            Some(name) => bail!("no test has a path that contains `{name}`"),
            None => bail!("no test ran"),
        }
    }
    Ok(())
}

/// Reads the summary line that libtest prints for each binary.
fn parse(line: &str) -> Option<Count> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, numbers) = rest.split_once(". ")?;
    let mut count = Count::default();
    for part in numbers.split(';') {
        match part.trim().split_once(' ') {
            Some((number, "passed")) => count.passed = number.parse().ok()?,
            Some((number, "failed")) => count.failed = number.parse().ok()?,
            _ => {}
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::{Count, parse};

    #[test]
    fn reads_the_summary_and_nothing_else() {
        let ok = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.05s";
        assert_eq!(
            parse(ok),
            Some(Count {
                passed: 12,
                failed: 0
            })
        );
        let bad = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s";
        assert_eq!(
            parse(bad),
            Some(Count {
                passed: 3,
                failed: 2
            })
        );
        assert_eq!(parse("test telemetry::tests::result: ok"), None);
        assert_eq!(parse("running 3 tests"), None);
    }
}
