//! Finds a Rust compiler for chips: rustup's with its target, else Debian's with the source of the standard library; for Xtensa
//! Espressif's. It installs what is missing where it may, and says what to install where it may not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, process};

/// Debian's compiler, its cargo, the source of the standard library, and a linker.
const DEBIAN: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];
/// Where Debian's compiler is.
const DEBIAN_BIN: &str = "/usr/bin";
/// What rustup calls the compiler of Espressif, which `espup` installs.
const ESPRESSIF: &str = "esp";

/// A compiler that can build for a chip.
#[derive(Debug)]
pub struct Toolchain {
    /// Where rustc and cargo are, when they are not the ones that run this.
    bin: Option<PathBuf>,
    target: String,
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// Finds or installs a compiler for a target.
    ///
    /// # Errors
    /// When there is none and none can be installed; the message says what to install by hand.
    pub fn find(target: &str) -> Result<Self> {
        let rustup = || Self {
            bin: None,
            target: target.to_owned(),
            linker: None,
        };
        if has_target(target) {
            return Ok(rustup());
        }
        // What is here already comes before a download.
        if has_sources(Path::new(DEBIAN_BIN)) {
            return Self::debian(target);
        }
        let Err(error) = packages::ensure_rust_target(target) else {
            return Ok(rustup());
        };
        Self::debian(target).with_context(|| {
            format!(
                "no Rust compiler here can build for {target}: run `rustup target add {target}`, or on Debian install {} \
                 (rustup said: {error:#})",
                DEBIAN.join(", ")
            )
        })
    }

    /// Finds the compiler of Espressif, for chips that no other one makes code for. It is never installed from here: it is a
    /// download of gigabytes from a place of its own.
    ///
    /// # Errors
    /// When it is not there; the message says how to install it.
    pub fn espressif(target: &str) -> Result<Self> {
        let mut rustc = Command::new("rustup");
        rustc.args(["run", ESPRESSIF, "rustc", "--print", "sysroot"]);
        let root = process::read(rustc.current_dir(process::root()))
            .map(|told| PathBuf::from(told.trim()));
        let found = root.ok().and_then(|root| {
            let linker = espressif_linker(&root, target)?;
            Some((root.join("bin"), linker))
        });
        let (bin, linker) = found.with_context(|| {
            format!(
                "only Espressif's compiler can build for {target}, and it is not here: run `cargo install espup --locked`, then \
                 `espup install`"
            )
        })?;
        Ok(Self {
            bin: Some(bin),
            target: target.to_owned(),
            linker: Some(linker),
        })
    }

    fn debian(target: &str) -> Result<Self> {
        let bin = PathBuf::from(DEBIAN_BIN);
        if !has_sources(&bin) || linker().is_none() {
            packages::install(&DEBIAN)?;
        }
        if !has_sources(&bin) {
            bail!("{DEBIAN_BIN}/rustc has no source of the standard library beside it");
        }
        let linker = linker().context("there is no linker `ld.lld` or `rust-lld`")?;
        Ok(Self {
            bin: Some(bin),
            target: target.to_owned(),
            linker: Some(linker),
        })
    }

    /// Returns a cargo in the firmware's workspace that uses this compiler.
    pub fn cargo(&self) -> Command {
        let firmware = process::root().join("firmware");
        let mut command = match &self.bin {
            None => process::cargo(),
            Some(bin) => {
                let mut command = Command::new(bin.join("cargo"));
                // Its standard library is built from source, which stable compilers do only when told that they may.
                command.env("RUSTC_BOOTSTRAP", "1");
                command.env("RUSTC", bin.join("rustc"));
                // What rustup puts into the environment names its own compiler.
                for name in ["RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "CARGO"] {
                    command.env_remove(name);
                }
                command
            }
        };
        if let Some(linker) = &self.linker {
            let name = self.target.to_uppercase().replace('-', "_");
            command.env(format!("CARGO_TARGET_{name}_LINKER"), linker);
        }
        command.env_remove("RUSTFLAGS").current_dir(firmware);
        command
    }

    /// Returns what cargo's `build` needs to be told.
    pub fn arguments(&self) -> &'static [&'static str] {
        match self.bin {
            None => &[],
            Some(_) => &["-Zbuild-std=core,alloc"],
        }
    }

    /// Returns where the source of the standard library is or was.
    ///
    /// # Errors
    /// When the compiler does not say.
    pub fn sources(&self) -> Result<PathBuf> {
        let rustc = self
            .bin
            .as_ref()
            .map_or_else(|| PathBuf::from("rustc"), |bin| bin.join("rustc"));
        let root = sysroot(&rustc)?;
        let library = root.join("lib/rustlib/src/rust");
        // Debian's is a link to where it keeps sources.
        Ok(library.canonicalize().unwrap_or(library))
    }
}

fn sysroot(rustc: &Path) -> Result<PathBuf> {
    let told = process::read(
        Command::new(rustc)
            .args(["--print", "sysroot"])
            .current_dir(process::root()),
    )?;
    Ok(PathBuf::from(told.trim()))
}

/// Says whether the compiler that runs this has a target's standard library.
fn has_target(target: &str) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", target]);
    process::read(rustc.current_dir(process::root()))
        .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn has_sources(bin: &Path) -> bool {
    let rustc = bin.join("rustc");
    rustc.is_file()
        && sysroot(&rustc).is_ok_and(|root| {
            root.join("lib/rustlib/src/rust/library/core/Cargo.toml")
                .is_file()
        })
}

/// The linker of a target, which comes with Espressif's compiler: `xtensa-esp32s3-elf-gcc` in a folder that says its version.
fn espressif_linker(root: &Path, target: &str) -> Option<PathBuf> {
    let name = format!("{}-gcc", target.replace("-none-", "-"));
    let versions = std::fs::read_dir(root.join("xtensa-esp-elf"));
    let inside = versions.ok().and_then(|versions| {
        versions
            .flatten()
            .map(|version| version.path().join("xtensa-esp-elf/bin").join(&name))
            .find(|file| file.is_file())
    });
    inside.or_else(|| process::find(&name))
}

/// The linker that comes with rustup's compiler, or LLVM's own.
fn linker() -> Option<PathBuf> {
    let host = sysroot(Path::new("rustc")).ok().and_then(|root| {
        let targets = std::fs::read_dir(root.join("lib/rustlib")).ok()?;
        targets
            .flatten()
            .map(|target| target.path().join("bin/rust-lld"))
            .find(|file| file.is_file())
    });
    host.or_else(|| process::find("ld.lld"))
}

#[cfg(test)]
mod tests {
    use super::espressif_linker;

    #[test]
    fn the_linker_of_espressif_is_found_beside_its_compiler() {
        let root = std::env::temp_dir().join(format!("espalier-xtask-{}", std::process::id()));
        let bin = root.join("xtensa-esp-elf/esp-15.2.0_20250920/xtensa-esp-elf/bin");
        std::fs::create_dir_all(&bin).unwrap();
        let linker = bin.join("xtensa-esp32s3-elf-gcc");
        std::fs::write(&linker, "").unwrap();
        let found = espressif_linker(&root, "xtensa-esp32s3-none-elf");
        let other = espressif_linker(&root, "xtensa-esp32-none-elf");
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((found, other), (Some(linker), None));
    }
}
