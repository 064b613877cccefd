//! The OpenAPI document as a fuzzer reads it: schemathesis calls every operation with good and bad data.
//!
//! Two of its checks gate: no answer is a server error, and each answer is what the document says. Its opinions about which input
//! ought to be refused are not asked for: they give false alarms on formats that JSON Schema cannot express.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::server::Server;
use crate::{packages, process};

const TOOL: &str = "schemathesis==4.32.5";
const CHECKS: &str = "not_a_server_error,response_schema_conformance";
/// Inputs for each operation; enough to reach every branch of a schema, few enough for a minute or two in all.
const EXAMPLES: &str = "25";
/// The same inputs in every run, so that a failure can be seen again.
const SEED: &str = "20260101";

/// Seconds for one answer; the longest that a long poll may ask the server to wait is half a minute.
const PATIENCE: &str = "45";

/// Operations left out: some would end the run itself, because they never answer to the end or take the account or its session
/// away; the archive of a back-up is not text.
const LEFT_OUT: &str = r"^/(logout|me|refresh|events/stream|notifications/stream|ws|ws/.*|sessions.*|admin/(users|backup|restore).*|me/.*|reset-password)$";

/// Fuzzes every operation of the document.
///
/// # Errors
/// When Python is missing, or the fuzzer found something; it has printed what, with a curl command for each case.
pub fn check(server: &Server) -> Result<()> {
    let program = packages::ensure_python_tool(TOOL, "schemathesis")?;
    let document = server.folder().join("openapi.json");
    std::fs::write(&document, server.openapi()?)?;
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(&document)
        .args(["--url", &format!("http://{}", server.address)]);
    command.args([
        "--header",
        &format!("Authorization: Bearer {}", server.token),
    ]);
    command.args([
        "--checks",
        CHECKS,
        "--max-examples",
        EXAMPLES,
        "--seed",
        SEED,
        "--phases",
        "examples,coverage,fuzzing",
    ]);
    command.args([
        "--exclude-path-regex",
        LEFT_OUT,
        "--request-timeout",
        PATIENCE,
        "--workers",
        "2",
        "--no-color",
    ]);
    command
        // Says of the generator that it throws away much of what it makes for a form, not that the API is wrong.
        .args(["--suppress-health-check", "filter_too_much"])
        .args(["--generation-database", "none"])
        .current_dir(server.folder());
    let run = command
        .output()
        .with_context(|| format!("cannot start {}", process::display(&command)))?;
    let said = String::from_utf8_lossy(&run.stdout);
    print!("{said}");
    if run.status.success() {
        return Ok(());
    }
    if stumbled_over_itself(&said) {
        println!(
            "every case passed; the errors above are of the generator, which made no case of them"
        );
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&run.stderr));
    println!("{}", server.log());
    bail!("schemathesis found something, see above");
}

/// Says whether a run failed only because the generator of cases did: it lists no failure, and no error of the network or the
/// document, only its own. On a busy machine some of its inner deadlines pass.
fn stumbled_over_itself(said: &str) -> bool {
    let Some((_, summary)) = said.split_once(" SUMMARY ") else {
        return false;
    };
    let mut errors = summary
        .lines()
        .skip_while(|line| *line != "Errors:")
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .peekable();
    let own = |line: &str| {
        ["Runtime Error:", "Failed Health Check:"]
            .iter()
            .any(|kind| line.contains(kind))
    };
    !summary.contains("\nFailures:") && errors.peek().is_some() && errors.all(own)
}

#[cfg(test)]
mod tests {
    use super::stumbled_over_itself;

    #[test]
    fn only_the_generators_own_errors_are_forgiven() {
        let said = |errors: &str| {
            format!("== SUMMARY ==\n\nTest Phases:\n  x\n\n{errors}\nWarnings:\n  y\n")
        };
        assert!(stumbled_over_itself(&said(
            "Errors:\n  🚫 Runtime Error: 1\n"
        )));
        assert!(!stumbled_over_itself(&said(
            "Errors:\n  🚫 Runtime Error: 1\n  🚫 Network Error: 2\n"
        )));
        assert!(!stumbled_over_itself(&said(
            "Failures:\n  ❌ Server error: 1\n\nErrors:\n  🚫 Runtime Error: 1\n"
        )));
        assert!(!stumbled_over_itself(&said("")));
        assert!(!stumbled_over_itself("nothing"));
    }
}
