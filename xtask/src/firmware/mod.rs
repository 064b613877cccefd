//! `cargo xtask firmware`: builds the firmware for chips and makes kits of it, below `firmware/dist`.
//!
//! `toolchain` finds a compiler, `chips` knows which firmware there is and builds it, `pack` makes kits and lets others judge
//! them, `sizes` keeps the table of what they need. `xtensa` checks what only Espressif's compiler can build. Nothing is flashed
//! here.

mod chips;
mod pack;
mod sizes;
mod times;
mod toolchain;
mod virt;
mod xtensa;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::steps::Steps;
use chips::{Chip, Firmware, Variant};
use pack::Packer;
use times::Times;
pub use xtensa::{CALLED_AS_COMPILER, stand_in};

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Only this variant.
    variant: Option<Variant>,
    /// Only this chip.
    chip: Option<Chip>,
    /// Only what a test run builds.
    ci: bool,
    /// Build each firmware a second time in another folder; the images must be the same.
    twice: bool,
    /// Only the life of an emulated board with the real server.
    virt: bool,
    /// Only a check of the firmware for chips that no released compiler makes code for.
    check_xtensa: bool,
}

impl Options {
    /// Reads the words after `firmware`.
    ///
    /// # Errors
    /// When a word is unknown, or an option has no name after it.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut name = || {
                words
                    .next()
                    .with_context(|| format!("`{word}` needs a name after it"))
            };
            match *word {
                "--variant" => options.variant = Some(Variant::from_name(name()?)?),
                "--chip" => options.chip = Some(Chip::from_name(name()?)?),
                "--ci" => options.ci = true,
                "--twice" => options.twice = true,
                "--check-xtensa" => options.check_xtensa = true,
                "virt" => options.virt = true,
                other => bail!("`firmware` has no option `{other}`"),
            }
        }
        let whole = [
            (options.ci, "--ci"),
            (options.virt, "virt"),
            (options.check_xtensa, "--check-xtensa"),
        ];
        let mut chosen = whole.iter().filter(|(chosen, _)| *chosen);
        if let Some((_, word)) = chosen.next() {
            let narrowed = options.variant.is_some() || options.chip.is_some() || options.twice;
            ensure!(
                !narrowed && chosen.next().is_none(),
                "`{word}` says itself what is done, so that it takes no other option"
            );
        }
        Ok(options)
    }

    /// Whether the emulated board measures too; else the times of the last whole run hold.
    fn measures(&self) -> bool {
        self.ci || (self.variant.is_none() && self.chip.is_none())
    }

    /// What is built, and which of it twice.
    fn firmware(&self) -> Vec<(Firmware, bool)> {
        if self.ci {
            return chips::CI.to_vec();
        }
        Firmware::all()
            // What takes a compiler that few have is built only when somebody names it.
            .filter(|f| self.chip.map_or(!f.chip.is_xtensa(), |chip| chip == f.chip))
            .filter(|f| self.variant.is_none_or(|variant| variant == f.variant))
            .map(|firmware| (firmware, self.twice))
            .collect()
    }
}

/// Builds, packs and judges, each firmware as a step; returns whether all is well. What failed is told in the output.
pub fn run(options: &Options) -> bool {
    let mut steps = Steps::default();
    if options.virt {
        virt::run(&mut steps);
    } else if options.check_xtensa {
        check_xtensa(&mut steps);
    } else {
        build(&mut steps, options);
    }
    println!();
    for name in steps.failed() {
        println!("FAILED: {name}");
    }
    steps.failed().is_empty()
}

/// What a test run builds: the smallest firmware for every chip that it has a compiler for, one of them twice, and the largest for
/// one chip. For the others the types are checked.
pub fn ci(steps: &mut Steps) {
    let options = Options {
        ci: true,
        ..Options::default()
    };
    steps.step("firmware: tests of the packer", Packer::test);
    build(steps, &options);
    check_xtensa(steps);
    virt::run(steps);
}

fn check_xtensa(steps: &mut Steps) {
    for firmware in chips::XTENSA {
        steps.step(&format!("firmware: types of {firmware}"), || {
            xtensa::check(firmware)
        });
    }
}

/// Where the kit lies that the web app's stories flash, once a test run has built it.
pub fn story_kit() -> PathBuf {
    pack::folder(Firmware {
        variant: Variant::Base,
        chip: Chip::Esp32C3,
    })
}

fn build(steps: &mut Steps, options: &Options) {
    let Some(packer) = steps.value("firmware: packer", Packer::prepare) else {
        return;
    };
    let wanted = options.firmware();
    let mut rows = Vec::new();
    for (firmware, twice) in wanted {
        let row = steps.value(&format!("firmware: {firmware}"), || {
            let kit = packer.pack(firmware, &chips::build(firmware, "a")?)?;
            if twice {
                packer.compare(firmware, &kit, &chips::build(firmware, "b")?)?;
            }
            println!("kit: {}", kit.folder.display());
            Ok((firmware, kit.needs))
        });
        rows.extend(row);
    }
    let path = process::root().join(sizes::TABLE);
    let known = || sizes::times(&path).context("a run without `--chip` and `--variant` measures");
    let measure = if options.measures() {
        steps.value("firmware: times", Times::measure)
    } else {
        steps.value("firmware: times of the table", known)
    };
    let Some(times) = measure else {
        return;
    };
    steps.step("firmware: table of what it needs", || {
        if options.ci {
            sizes::check(&path, &rows, &times)
        } else {
            sizes::write(&path, &rows, &times)
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{Chip, Firmware, Options, Variant};

    #[test]
    fn reads_its_options() {
        let both = Options::parse(&["--chip", "esp32c6", "--variant", "full", "--twice"]).unwrap();
        let only = Firmware {
            variant: Variant::Full,
            chip: Chip::Esp32C6,
        };
        assert_eq!(both.firmware(), [(only, true)]);
        assert_eq!(Options::parse(&[]).unwrap().firmware().len(), 10);
        assert_eq!(Options::parse(&["--ci"]).unwrap().firmware().len(), 3);
        assert!(Options::parse(&["--ci"]).unwrap().measures());
        assert!(!both.measures());
        assert!(Options::parse(&["virt"]).unwrap().virt);
        assert!(Options::parse(&["--check-xtensa"]).unwrap().check_xtensa);
        let s3 = Options::parse(&["--chip", "esp32s3"]).unwrap().firmware();
        assert_eq!(s3.len(), 5);
        assert!(s3.iter().all(|(f, _)| f.chip == Chip::Esp32S3));
        for bad in [
            &["--chip"][..],
            &["--chip", "esp8266"],
            &["--ci", "--twice"],
            &["virt", "--chip", "esp32c3"],
            &["--check-xtensa", "--chip", "esp32"],
            &["--check-xtensa", "--ci"],
            &["now"],
        ] {
            assert!(Options::parse(bad).is_err(), "{bad:?}");
        }
    }
}
