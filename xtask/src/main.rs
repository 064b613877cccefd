//! `cargo xtask`: the one entry to everything a developer or a CI machine runs on this repository.
//!
//! This file only reads the command line. What each command does is in the module of the same name; the helpers they share are
//! `process` (running programs), `steps` (names, times and the verdict), `supervised` (children that clean up after themselves) and
//! `packages` (what the machine must have). It is not shipped and knows nothing of the product's insides: it builds it, starts it
//! and looks at it from outside, as a user would.

mod cargo_test;
mod packages;
mod postgres;
mod process;
mod steps;
mod supervised;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask: build, check and measure Espalier

Usage: cargo xtask <COMMAND> [OPTIONS]

Commands:
  test     install what tests need, then run every check and every test, on SQLite and on a private PostgreSQL
  ci       what .ci/run does: the same as `test` without options

Options of test:
  --fast           only formatting, tidy, clippy and the tests on SQLite: nothing is installed or downloaded
  --filter NAME    only the tests whose path contains NAME (no other check); with --fast on SQLite alone

Examples:
  cargo xtask test
  cargo xtask test --fast
  cargo xtask test --filter telemetry::

The exit code is 0 when everything passed, 1 when something failed, 2 when the command line was not understood.
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Request {
    Help,
    Test(test::Options),
}

fn parse(arguments: &[String]) -> Result<Request> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.iter().any(|word| matches!(*word, "--help" | "-h")) {
        return Ok(Request::Help);
    }
    match words.split_first() {
        None | Some((&"help", [])) => Ok(Request::Help),
        Some((&"test", rest)) => Ok(Request::Test(test::Options::parse(rest)?)),
        Some((&"ci", [])) => Ok(Request::Test(test::Options::default())),
        Some((&"ci", [extra, ..])) => bail!("`ci` takes no arguments, but got `{extra}`"),
        Some((other, _)) => bail!("there is no command `{other}`"),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let request = match parse(&arguments) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("error: {error}; `cargo xtask --help` lists the commands with examples");
            return ExitCode::from(2);
        }
    };
    let outcome = match request {
        Request::Help => {
            print!("{HELP}");
            Ok(true)
        }
        Request::Test(options) => test::run(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
