//! Which firmware there is, how large it may be, and how cargo builds it. What a variant does is in `firmware/esp`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::toolchain::Toolchain;
use crate::process;

/// A chip that firmware is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chip {
    Esp32,
    Esp32C3,
    Esp32C6,
    Esp32S3,
}

impl Chip {
    const ALL: [Chip; 4] = [Chip::Esp32, Chip::Esp32C3, Chip::Esp32C6, Chip::Esp32S3];

    /// Finds a chip.
    ///
    /// # Errors
    /// Names the chips there are when there is no such one.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|chip| chip.as_str() == name)
            .with_context(|| {
                let names = Self::ALL.map(Chip::as_str).join(", ");
                format!("there is no firmware for a chip `{name}`, but for {names}")
            })
    }

    /// Returns the name that features, folders and tools use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Chip::Esp32 => "esp32",
            Chip::Esp32C3 => "esp32c3",
            Chip::Esp32C6 => "esp32c6",
            Chip::Esp32S3 => "esp32s3",
        }
    }

    /// Returns the compiler's name for what the chip runs.
    pub const fn target(self) -> &'static str {
        match self {
            Chip::Esp32 => "xtensa-esp32-none-elf",
            Chip::Esp32C3 => "riscv32imc-unknown-none-elf",
            Chip::Esp32C6 => "riscv32imac-unknown-none-elf",
            Chip::Esp32S3 => "xtensa-esp32s3-none-elf",
        }
    }

    /// Says whether the chip has Xtensa cores: only Espressif's own compiler makes code for them.
    pub const fn is_xtensa(self) -> bool {
        matches!(self, Chip::Esp32 | Chip::Esp32S3)
    }
}

/// A variant of the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Base,
    Blink,
    Full,
    Bot,
    Things,
}

impl Variant {
    const ALL: [Variant; 5] = [
        Variant::Base,
        Variant::Blink,
        Variant::Full,
        Variant::Bot,
        Variant::Things,
    ];

    /// Finds a variant.
    ///
    /// # Errors
    /// Names the variants there are when there is no such one.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|variant| variant.as_str() == name)
            .with_context(|| {
                let names = Self::ALL.map(Variant::as_str).join(", ");
                format!("there is no variant `{name}`; there are {names}")
            })
    }

    /// Returns the name that features and folders use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Variant::Base => "base",
            Variant::Blink => "blink",
            Variant::Full => "full",
            Variant::Bot => "bot",
            Variant::Things => "things",
        }
    }

    /// Returns the most bytes that an image may have. A slot has 1,966,080; what is left is for the next years.
    pub const fn budget(self) -> u64 {
        match self {
            // Recovery is the smallest.
            Variant::Base => 1_150_000,
            Variant::Blink | Variant::Bot | Variant::Things => 1_200_000,
            Variant::Full => 1_300_000,
        }
    }
}

/// One firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firmware {
    pub variant: Variant,
    pub chip: Chip,
}

impl Firmware {
    /// Every firmware there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Variant::ALL.into_iter().flat_map(|variant| {
            Chip::ALL
                .into_iter()
                .map(move |chip| Self { variant, chip })
        })
    }

    /// Returns the features of the application that make it this firmware.
    pub fn features(self) -> String {
        format!("{},{}", self.chip.as_str(), self.variant.as_str())
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.variant.as_str(), self.chip.as_str())
    }
}

/// What a test run builds, and which of it twice: one for each chip, because chips differ in drivers, and the largest
/// for one, because the variants between add nothing of their own to it. All would take a machine with two cores longer
/// than everything else together.
pub const CI: [(Firmware, bool); 3] = [
    (
        Firmware {
            variant: Variant::Base,
            chip: Chip::Esp32C3,
        },
        true,
    ),
    (
        Firmware {
            variant: Variant::Base,
            chip: Chip::Esp32C6,
        },
        false,
    ),
    (
        Firmware {
            variant: Variant::Full,
            chip: Chip::Esp32C3,
        },
        false,
    ),
];

/// What a test run checks for the chips that no released compiler makes code for: on each the variant that has least, and the one
/// that has everything.
pub const XTENSA: [Firmware; 4] = [
    Firmware {
        variant: Variant::Base,
        chip: Chip::Esp32,
    },
    Firmware {
        variant: Variant::Full,
        chip: Chip::Esp32,
    },
    Firmware {
        variant: Variant::Base,
        chip: Chip::Esp32S3,
    },
    Firmware {
        variant: Variant::Full,
        chip: Chip::Esp32S3,
    },
];

/// Builds one firmware in a folder of its own and returns where its ELF file is.
///
/// # Errors
/// When no compiler for the chip is there, or the firmware does not compile.
pub fn build(firmware: Firmware, folder: &str) -> Result<PathBuf> {
    let chip = firmware.chip;
    let toolchain = if chip.is_xtensa() {
        Toolchain::espressif(chip.target())?
    } else {
        Toolchain::find(chip.target())?
    };
    let target = process::target_folder().join("firmware").join(folder);
    let mut command = toolchain.cargo();
    command.arg("build").args(toolchain.arguments());
    command.args(["--release", "--locked", "--package", "espalier-esp"]);
    command.args(["--features", &firmware.features()]);
    command.args(["--target", chip.target(), "--target-dir"]);
    command.arg(&target);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(&toolchain, &target)?);
    command.env("SOURCE_DATE_EPOCH", date());
    process::run(&mut command)?;
    Ok(target
        .join(chip.target())
        .join("release")
        .join("espalier-esp"))
}

/// Returns the time that an image says it was made, in seconds since 1970: that of the commit, not of the build.
pub fn date() -> String {
    let mut git = std::process::Command::new("git");
    git.args(["log", "-1", "--format=%ct"]);
    // A source tree without its history still builds, always with the same date.
    let told = process::read(git.current_dir(process::root()));
    told.map_or_else(|_| "0".to_owned(), |text| text.trim().to_owned())
}

/// No path of this machine may be in an image: neither where the sources are nor where they are built.
fn flags(toolchain: &Toolchain, target: &std::path::Path) -> Result<OsString> {
    let home = process::environment("HOME").unwrap_or_default();
    let cargo = process::environment("CARGO_HOME").unwrap_or_else(|| format!("{home}/.cargo"));
    let sources = toolchain.sources()?;
    let mut flags = OsString::new();
    let places: [(&std::path::Path, &str); 4] = [
        (cargo.as_ref(), "/cargo"),
        (sources.as_path(), "/rust"),
        (&process::root(), "/espalier"),
        (target, "/build"),
    ];
    for (from, to) in places {
        if !flags.is_empty() {
            // Cargo's own separator: paths may hold spaces.
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}
