//! `cargo xtask test`: the order of the checks. What each one does is in its own module.

use anyhow::{Context, Result, bail};

use crate::cargo_test::{self, Count};
use crate::postgres::Postgres;
use crate::steps::Steps;
use crate::{r#gen, http_checks, packages, process, tidy};

/// What of the full run is asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Only what needs no PostgreSQL, no package and no network.
    pub fast: bool,
    /// Only the checks of the running program.
    pub http: bool,
    /// Only the tests whose path contains this.
    pub filter: Option<String>,
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
                "--filter" => {
                    options.filter = Some(
                        (*words.next().context("`--filter` needs a name after it")?).to_owned(),
                    )
                }
                other => bail!("`test` has no option `{other}`"),
            }
        }
        if options.http
            && options
                != (Self {
                    http: true,
                    ..Self::default()
                })
        {
            bail!("`--http` runs no tests, so that it takes no other option");
        }
        Ok(options)
    }
}

/// Runs the checks and returns whether all passed. The last line printed is `N passed, N failed`, as `cargo test` counted them.
///
/// # Errors
/// Never for a check that failed; that is told in the output and by `false`.
pub fn run(options: &Options) -> Result<bool> {
    let mut steps = Steps::default();
    let mut count = Count::default();
    if options.http {
        http_checks::run(&mut steps);
    } else if options.filter.is_some() {
        tests(&mut steps, options, &mut count);
    } else {
        static_checks(&mut steps);
        tests(&mut steps, options, &mut count);
        if !options.fast {
            steps.step("gen --check", || {
                r#gen::run(&r#gen::Options {
                    check: true,
                    ..r#gen::Options::default()
                })
            });
            http_checks::run(&mut steps);
        }
    }
    println!();
    for name in steps.failed() {
        println!("FAILED: {name}");
    }
    if !options.http {
        println!("{} passed, {} failed", count.passed, count.failed);
    }
    Ok(steps.failed().is_empty())
}

fn static_checks(steps: &mut Steps) {
    steps.step("toolchain", packages::ensure_rust_components);
    steps.step("fmt", || {
        process::run(process::cargo().args(["fmt", "--all", "--check"]))
            .context("`cargo fmt --all` puts it right")
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

fn tests(steps: &mut Steps, options: &Options, count: &mut Count) {
    if options.fast {
        steps.step("cargo test (SQLite)", || {
            cargo_test::run(count, options.filter.as_deref(), None)
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
            cargo_test::run(count, options.filter.as_deref(), None)
        });
        return;
    };
    steps.step("cargo test (SQLite and PostgreSQL)", || {
        cargo_test::run(count, options.filter.as_deref(), Some(url))
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
            http: false,
        };
        assert_eq!(
            Options::parse(&["--filter", "live::", "--fast"]).unwrap(),
            both
        );
        assert!(Options::parse(&["--filter"]).is_err());
        assert!(Options::parse(&["--quick"]).is_err());
        assert!(Options::parse(&["--http"]).unwrap().http);
        assert!(Options::parse(&["--http", "--fast"]).is_err());
    }
}
