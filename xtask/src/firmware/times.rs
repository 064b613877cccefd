//! How long things take on a board, measured without one: the emulated board runs the code, and QEMU counts its instructions.
//!
//! QEMU's clock then goes on by eight nanoseconds with each instruction, whatever the machine does that emulates. The table tells what
//! the same number of instructions takes at the 160 MHz of an ESP32-C3 and C6, one in each cycle: a real chip also waits for its
//! flash, and has units for hashing that the firmware does not use.

use anyhow::{Context, Result, ensure};

use super::virt;

/// Nanoseconds of QEMU's clock for each instruction: two to the power of [`SHIFT`].
const NS: u64 = 8;
/// What QEMU is told.
pub const SHIFT: &str = "shift=3,sleep=off";
/// Nanoseconds of a tick of the firmware's clock.
const TICK_NS: u64 = 100;
/// Instructions in a microsecond.
const PER_US: u64 = 160;

/// What was measured, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// SHA-256 of a million bytes, by the firmware's own code.
    pub digest: u64,
    /// Checking an Ed25519 signature.
    pub signature: u64,
}

impl Times {
    /// Lets the emulated board measure.
    ///
    /// # Errors
    /// When it cannot be built or started, or does not say what it should.
    pub fn measure() -> Result<Self> {
        read(&virt::times()?)
    }

    /// How long it takes to check digest and signature of an image, in microseconds.
    pub fn check(&self, bytes: u64) -> u64 {
        self.digest * bytes / 1_000_000 + self.signature
    }
}

fn read(said: &str) -> Result<Times> {
    let number = |name: &str, place: usize| -> Result<u64> {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().nth(place));
        let word =
            word.with_context(|| format!("the board did not say `{name}`; it said:\n{said}"))?;
        Ok(word.parse()?)
    };
    let us = |ticks: u64| ticks * TICK_NS / NS / PER_US;
    ensure!(
        said.contains("valid true"),
        "the board takes a good signature for a bad one:\n{said}"
    );
    Ok(Times {
        digest: us(number("times: digest", 0)? * 1_000_000 / number("times: digest", 2)?),
        signature: us(number("times: signature", 0)?),
    })
}

#[cfg(test)]
mod tests {
    use super::{Times, read};

    #[test]
    fn what_the_board_says_is_read() {
        let said = "espalier: hello\r\ntimes: digest 2560000 of 250000 bytes\r\n\
                    times: signature 640000 valid true\r\n";
        let times = Times {
            digest: 800_000,
            signature: 50_000,
        };
        assert_eq!(read(said).unwrap(), times);
        assert_eq!(times.check(500_000), 450_000);
        assert!(read("times: digest 1\nvalid true").is_err());
        assert!(read(&said.replace("true", "false")).is_err());
    }
}
