//! What the machine must have for a full test run, and how it gets there.
//!
//! On a Debian-like machine missing packages are installed through apt when that needs no password; no service is ever started by
//! that. Anywhere else the error is one sentence that says what to install.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::postgres::{self, is_root};
use crate::process;

/// Runs apt with every service start forbidden: the package's own server must not come up beside the private one.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
"#;

/// Unpacks a package into the working folder. Arguments: its name, and `update` when the lists may be fetched first.
const UNPACK: &str = r#"
set -eu
[ "$2" != update ] || apt-get update -q
apt-get download -q "$1"
dpkg-deb -x "$1"_*.deb .
rm -f "$1"_*.deb
"#;

/// Makes sure that PostgreSQL's server programs are there.
///
/// # Errors
/// When they are missing and cannot be installed.
pub fn ensure_postgres() -> Result<()> {
    if postgres::programs().is_some() {
        return Ok(());
    }
    install(&["postgresql"])?;
    postgres::programs()
        .context("apt installed PostgreSQL, but its programs are not in /usr/lib/postgresql")?;
    Ok(())
}

/// Makes sure that Prometheus' promtool is there and returns where.
///
/// The Debian package `prometheus` also brings a service, so it is only unpacked into the tool folder and not installed.
///
/// # Errors
/// When it is missing and cannot be downloaded.
pub fn ensure_promtool() -> Result<PathBuf> {
    const HELP: &str = "promtool is missing: install Prometheus (Debian: `sudo apt-get install prometheus`) and run this again";
    if let Some(found) = process::find("promtool") {
        return Ok(found);
    }
    let folder = process::tool_folder("promtool-debian");
    let program = folder.join("usr/bin/promtool");
    if program.exists() {
        return Ok(program);
    }
    if process::find("apt-get").is_none() {
        bail!(HELP);
    }
    std::fs::create_dir_all(&folder)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", UNPACK, "unpack", "prometheus"])
        .arg(if is_root()? { "update" } else { "" });
    process::run(command.current_dir(&folder)).context(HELP)?;
    if !program.exists() {
        bail!("the package `prometheus` holds no usr/bin/promtool; {HELP}");
    }
    Ok(program)
}

/// Makes sure that Node and npm are there.
///
/// # Errors
/// When they are missing and cannot be installed.
pub fn ensure_npm() -> Result<()> {
    if process::find("npm").is_some() {
        return Ok(());
    }
    install(&["nodejs", "npm"])
}

/// Makes sure that Chromium is there and returns where.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn ensure_chromium() -> Result<PathBuf> {
    let there = || process::find("chromium").or_else(|| process::find("chromium-browser"));
    if let Some(found) = there() {
        return Ok(found);
    }
    install(&["chromium"])?;
    there().context("apt installed Chromium, but there is no program `chromium`")
}

/// Makes sure that Python can make virtual environments.
///
/// # Errors
/// When it cannot and nothing can be installed.
pub fn ensure_python() -> Result<()> {
    if process::read(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok() {
        return Ok(());
    }
    install(&["python3", "python3-venv"])
}

/// Makes sure that a program from PyPI is there, in a virtual environment of its own, and returns where.
///
/// # Errors
/// When Python is missing or pip cannot install the package, which is given as `name==version`.
pub fn ensure_python_tool(package: &str, program: &str) -> Result<PathBuf> {
    let folder = process::tool_folder(&package.replace("==", "-"));
    let program = folder.join("bin").join(program);
    if !program.exists() {
        ensure_python()?;
        process::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )?;
        process::run(Command::new(folder.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            package,
        ]))
        .with_context(|| format!("pip could not install {package}"))?;
    }
    Ok(program)
}

/// Makes sure that rustfmt and clippy belong to the toolchain.
///
/// # Errors
/// When they are missing and rustup is not there to add them.
pub fn ensure_rust_components() -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if process::read(process::cargo().args([subcommand, "--version"])).is_err() {
            println!("adding {component} to the Rust toolchain");
            process::run(
                Command::new("rustup")
                    .args(["component", "add", component])
                    .current_dir(process::root()),
            )
            .with_context(|| {
                format!(
                    "{component} is missing; install it with `rustup component add {component}`"
                )
            })?;
        }
    }
    Ok(())
}

/// Makes sure that the compiler can build for a target.
///
/// # Errors
/// When it cannot and rustup is not there to add it.
pub fn ensure_rust_target(target: &str) -> Result<()> {
    let folder = process::read(
        Command::new("rustc")
            .args(["--print", "target-libdir", "--target", target])
            .current_dir(process::root()),
    )?;
    if std::path::Path::new(folder.trim()).exists() {
        return Ok(());
    }
    println!("adding {target} to the Rust toolchain");
    process::run(
        Command::new("rustup")
            .args(["target", "add", target])
            .current_dir(process::root()),
    )
    .with_context(|| {
        format!("the target {target} is missing; install it with `rustup target add {target}`")
    })
}

/// Installs Debian packages.
///
/// # Errors
/// When there is no apt, no right to use it, or it fails; the message says what to install by hand.
pub fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if process::find("apt-get").is_none() {
        bail!("install these packages (their Debian names) and run this again: {list}");
    }
    let mut command = if is_root()? {
        Command::new("sh")
    } else if process::read(Command::new("sudo").args(["-n", "true"])).is_ok() {
        let mut command = Command::new("sudo");
        command.args(["-n", "sh"]);
        command
    } else {
        bail!("run `sudo apt-get install --no-install-recommends {list}` and then this again");
    };
    println!("installing {list}");
    process::run(command.args(["-c", INSTALL, "install"]).args(packages))
        .with_context(|| format!("apt could not install {list}"))
}
