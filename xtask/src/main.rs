//! `cargo xtask`: the one entry to everything a developer or a CI machine runs on this repository.
//!
//! This file only reads the command line. What each command does is in the module of the same name; the helpers they share are
//! `process` (running programs), `steps` (names, times and the verdict), `supervised` (children that clean up after themselves) and
//! `packages` (what the machine must have). It is not shipped and knows nothing of the product's insides: it builds it, starts it
//! and looks at it from outside, as a user would.

mod cargo_test;
mod clients;
mod firmware;
mod r#gen;
mod http_checks;
mod image_checks;
mod packages;
mod postgres;
mod process;
mod program;
mod s3;
mod steps;
mod supervised;
mod test;
mod tidy;
mod web;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask: build, check and measure Espalier

Usage: cargo xtask <COMMAND> [OPTIONS]

Commands:
  test     install what tests need, then run every check and every test, on SQLite and on a private PostgreSQL
  ci       what .ci/run does: `test`, and the run must not have changed a file
  gen      write docs/generated again from the code
  tidy     check the rules of the house: crate arrows, headers, sizes, places of SQL, licences
  firmware build the firmware for chips and make kits of it, below firmware/dist
  bench    run the benchmarks (release build); what follows goes to them

Options of test:
  --fast                 only formatting, tidy, clippy and the tests on SQLite: nothing is installed or downloaded
  --filter NAME          only the tests whose path contains NAME (no other check); with --fast on SQLite alone
  --http                 only the checks of the running program: metrics, client generator, schema fuzzer
  --images               only the checks of firmware files against other tools: esptool
  --clients              only the checks of the Arduino library and the MicroPython package, against the running program
  --web                  only the checks of the web app: types, format, unit tests, size, stories in Chromium

Options of gen:
  --check                write nothing; fail when a file no longer matches the code
  --freeze-migrations    also list the present migrations as published: they can never change again

Options of firmware:
  virt                   nothing but the life of an emulated board with the real server: provisioned, updated, taken back
  --variant NAME         only base, blink, full, bot or things
  --chip NAME            only esp32c3 or esp32c6; or esp32 or esp32s3, which take Espressif's compiler
  --twice                build everything twice in two folders; fail when the images differ
  --check-xtensa         only check the types of the firmware for esp32 and esp32s3, which any compiler can
  --ci                   only what a test run builds

Examples:
  cargo xtask test
  cargo xtask test --fast
  cargo xtask test --filter telemetry::
  cargo xtask gen && git diff docs/generated
  cargo xtask firmware --variant base --chip esp32c3
  cargo xtask firmware virt
  cargo xtask bench --help

ESPALIER_PROGRAM, when set, names the program that the checks from outside use; then none is built for them.
TEST_DATABASE_URL, when set, names the PostgreSQL to test with; then no private one is started.
The exit code is 0 when everything passed, 1 when something failed, 2 when the command line was not understood.
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Request {
    Help,
    Test(test::Options),
    Gen(r#gen::Options),
    Tidy,
    Firmware(firmware::Options),
    Bench(Vec<String>),
}

fn parse(arguments: &[String]) -> Result<Request> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.split_first() {
        Some((&"bench", rest)) => Ok(Request::Bench(
            rest.iter().map(|&word| word.to_owned()).collect(),
        )),
        _ if words.iter().any(|word| matches!(*word, "--help" | "-h")) => Ok(Request::Help),
        None | Some((&"help", [])) => Ok(Request::Help),
        Some((&"test", rest)) => Ok(Request::Test(test::Options::parse(rest)?)),
        Some((&"ci", [])) => Ok(Request::Test(ci())),
        Some((&"gen", rest)) => Ok(Request::Gen(r#gen::Options::parse(rest)?)),
        Some((&"tidy", [])) => Ok(Request::Tidy),
        Some((&"firmware", rest)) => Ok(Request::Firmware(firmware::Options::parse(rest)?)),
        Some((command @ (&"ci" | &"tidy"), [extra, ..])) => {
            bail!("`{command}` takes no arguments, but got `{extra}`")
        }
        Some((other, _)) => bail!("there is no command `{other}`"),
    }
}

/// A full test run that also fails when it changed a file of the tree.
fn ci() -> test::Options {
    test::Options {
        clean_tree: true,
        ..test::Options::default()
    }
}

/// Delegates to the program in `bench/`, which has a help of its own.
fn bench(arguments: &[String]) -> Result<()> {
    process::run(
        process::cargo()
            .args(["run", "--release", "--package", "espalier-bench", "--"])
            .args(arguments),
    )
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if process::environment(firmware::CALLED_AS_COMPILER).is_some() {
        return firmware::stand_in(&arguments);
    }
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
        Request::Gen(options) => r#gen::run(&options).map(|()| true),
        Request::Firmware(options) => Ok(firmware::run(&options)),
        Request::Tidy => tidy::run().map(|()| true),
        Request::Bench(arguments) => bench(&arguments).map(|()| true),
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

#[cfg(test)]
mod tests {
    use super::{Request, parse};

    fn request(line: &str) -> anyhow::Result<Request> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn reads_the_command_line() {
        assert_eq!(request("").unwrap(), Request::Help);
        assert_eq!(request("test --help").unwrap(), Request::Help);
        assert_eq!(request("ci").unwrap(), Request::Test(super::ci()));
        assert_eq!(
            request("bench --help").unwrap(),
            Request::Bench(vec!["--help".to_owned()])
        );
        assert_eq!(request("tidy").unwrap(), Request::Tidy);
    }

    #[test]
    fn says_what_it_does_not_know() {
        assert_eq!(
            request("tests").unwrap_err().to_string(),
            "there is no command `tests`"
        );
        assert!(request("ci --fast").is_err());
        assert!(request("tidy now").is_err());
    }
}
