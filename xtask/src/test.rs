//! `cargo xtask test`: the order of the checks. What each one does is in its own module.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo_test::{self, Count};
use crate::postgres::Postgres;
use crate::s3::S3;
use crate::steps::Steps;
use crate::{
    clients, firmware, r#gen, http_checks, image_checks, packages, process, program, tidy, web,
};

/// The firmware for chips is a workspace of its own.
const FIRMWARE: &str = "firmware/Cargo.toml";

/// The ESP32-C3; it has the fewest instructions of all chips that stable Rust builds for.
const CHIP: &str = "riscv32imc-unknown-none-elf";

/// What of the full run is asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Only what needs no PostgreSQL, no package and no network.
    pub fast: bool,
    /// Only the checks of the running program.
    pub http: bool,
    /// Only the checks of firmware files against other tools.
    pub images: bool,
    /// Only the checks of the clients for boards without our firmware.
    pub clients: bool,
    /// Only the checks of the web app.
    pub web: bool,
    /// Only the tests whose path contains this.
    pub filter: Option<String>,
    /// Also fail when the run changed a file of the tree.
    pub clean_tree: bool,
}

impl Options {
    /// Reads the words after `test`.
    ///
    /// # Errors
    /// When a word is unknown or `--filter` has no name.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--fast" => options.fast = true,
                "--http" => options.http = true,
                "--images" => options.images = true,
                "--clients" => options.clients = true,
                "--web" => options.web = true,
                "--filter" => {
                    options.filter = Some(
                        (*words.next().context("`--filter` needs a name after it")?).to_owned(),
                    )
                }
                other => bail!("`test` has no option `{other}`"),
            }
        }
        let parts = [options.http, options.images, options.clients, options.web];
        let asked = parts.into_iter().filter(|&part| part).count();
        let alone = Self {
            http: options.http,
            images: options.images,
            clients: options.clients,
            web: options.web,
            ..Self::default()
        };
        if asked > 1 || (asked == 1 && options != alone) {
            bail!(
                "`--http`, `--images`, `--clients` and `--web` run no other tests, so that they take no other option"
            );
        }
        Ok(options)
    }

    /// Whether only one part is asked for that runs no test of cargo.
    fn is_one_part(&self) -> bool {
        self.http || self.images || self.clients || self.web
    }
}

/// Runs the checks and returns whether all passed. The last line printed is `N passed, N failed`, as `cargo test` counted them.
///
/// # Errors
/// When git cannot say what state the tree is in. A check that failed is told in the output and by `false`.
pub fn run(options: &Options) -> Result<bool> {
    let mut steps = Steps::default();
    let mut count = Count::default();
    if options.http {
        http_checks::run(&mut steps);
    } else if options.images {
        image_checks::run(&mut steps);
    } else if options.clients {
        clients::run(&mut steps);
    } else if options.web {
        let kit = firmware::story_kit();
        web::run(&mut steps, kit.is_dir().then_some(kit));
    } else if options.filter.is_some() {
        tests(&mut steps, options, &mut count);
    } else {
        let before = tree_state(options)?;
        static_checks(&mut steps);
        tests(&mut steps, options, &mut count);
        if !options.fast {
            beyond_tests(&mut steps);
        }
        let after = tree_state(options)?;
        if before != after {
            steps.step("clean tree", || {
                bail!("the run changed files that are checked in:\n{after}")
            });
        }
    }
    println!();
    for name in steps.failed() {
        println!("FAILED: {name}");
    }
    if !options.is_one_part() {
        println!("{} passed, {} failed", count.passed, count.failed);
    }
    Ok(steps.failed().is_empty())
}

fn beyond_tests(steps: &mut Steps) {
    steps.step("program of the tests", program::keep_tested);
    no_std(steps);
    optional_features(steps);
    steps.step("gen --check", || {
        r#gen::run(&r#gen::Options {
            check: true,
            ..r#gen::Options::default()
        })
    });
    http_checks::run(steps);
    image_checks::run(steps);
    clients::run(steps);
    firmware::ci(steps);
    // It was built just now: without it the stories must not pass.
    web::run(steps, Some(firmware::story_kit()));
}

/// Returns what git says of the tree, when that matters.
fn tree_state(options: &Options) -> Result<String> {
    if !options.clean_tree {
        return Ok(String::new());
    }
    process::read(
        Command::new("git")
            .args(["status", "--porcelain"])
            .current_dir(process::root()),
    )
}

fn static_checks(steps: &mut Steps) {
    steps.step("toolchain", packages::ensure_rust_components);
    // The web app is built with the program that embeds it.
    steps.step("web: Node", packages::ensure_npm);
    steps.step("fmt", || {
        let mut workspace = process::cargo();
        process::run(workspace.args(["fmt", "--all", "--check"]))
            .context("`cargo fmt --all` puts it right")?;
        let mut firmware = process::cargo();
        process::run(firmware.args(["fmt", "--all", "--manifest-path", FIRMWARE, "--check"]))
            .context("`cargo fmt --all --manifest-path firmware/Cargo.toml` puts it right")
    });
    steps.step("tidy", tidy::run);
    steps.step("clippy", || {
        process::run(process::cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
}

/// Builds what runs on a chip for a chip: on the host the standard library creeps in unseen.
fn no_std(steps: &mut Steps) {
    steps.step("no_std (wire, image, device)", || {
        packages::ensure_rust_target(CHIP)?;
        process::run(process::cargo().args([
            "check",
            "-p",
            "espalier-wire",
            "--no-default-features",
            "--target",
            CHIP,
        ]))?;
        process::run(process::cargo().args(["check", "-p", "espalier-image", "--target", CHIP]))?;
        process::run(process::cargo().args(["check", "-p", "espalier-device", "--target", CHIP]))
    });
}

/// Tests telemetry as Parquet files, and blobs in a bucket against an S3 server that others wrote. On SQLite alone: the engines
/// differ behind what is tested.
fn optional_features(steps: &mut Steps) {
    steps.step("features parquet and s3", || {
        let server = S3::start()?;
        // The whole workspace, as in all other runs: what crates of others are compiled with depends on who is asked for.
        let mut test = process::cargo();
        test.args(["test", "--workspace", "--test", "parquet", "--test", "s3"]);
        test.args(["--features", "espalier-server/parquet,espalier-server/s3"]);
        test.env("TEST_S3_ENDPOINT", server.endpoint());
        process::run(test.env_remove("TEST_DATABASE_URL"))
    });
}

fn tests(steps: &mut Steps, options: &Options, count: &mut Count) {
    // Who runs them by hand searches; a change is not refused for what another one brought.
    let (filter, fixed) = (options.filter.as_deref(), options.clean_tree);
    if options.fast {
        steps.step("cargo test (SQLite)", || {
            cargo_test::run(count, filter, None, fixed)
        });
        return;
    }
    let given = process::environment("TEST_DATABASE_URL");
    let private = match given {
        Some(_) => None,
        None => steps.value("PostgreSQL", || {
            packages::ensure_postgres()?;
            Postgres::start()
        }),
    };
    let Some(url) = given.as_deref().or(private.as_ref().map(Postgres::url)) else {
        // The failed step already makes the run fail; the tests on SQLite still tell something.
        steps.step("cargo test (SQLite)", || {
            cargo_test::run(count, filter, None, fixed)
        });
        return;
    };
    steps.step("cargo test (SQLite and PostgreSQL)", || {
        cargo_test::run(count, filter, Some(url), fixed)
    });
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn reads_its_options() {
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
        let both = Options {
            fast: true,
            filter: Some("live::".to_owned()),
            ..Options::default()
        };
        assert_eq!(
            Options::parse(&["--filter", "live::", "--fast"]).unwrap(),
            both
        );
        assert!(Options::parse(&["--filter"]).is_err());
        assert!(Options::parse(&["--quick"]).is_err());
        assert!(Options::parse(&["--http"]).unwrap().http);
        assert!(Options::parse(&["--http", "--fast"]).is_err());
        assert!(Options::parse(&["--web"]).unwrap().web);
        assert!(Options::parse(&["--web", "--http"]).is_err());
        assert!(Options::parse(&["--images"]).unwrap().images);
        assert!(Options::parse(&["--clients"]).unwrap().clients);
        assert!(Options::parse(&["--clients", "--web"]).is_err());
        assert!(Options::parse(&["--images", "--http"]).is_err());
    }
}
