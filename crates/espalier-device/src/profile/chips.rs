//! The pins of each chip: which exist, which the chip needs itself, which can only be read, and which decide how it starts.
//! From the data sheets of Espressif. Not the pins of boards.

use espalier_image::chip::Chip;

/// A pin that decides how the chip starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strap {
    pub gpio: u8,
    /// Whether a button that pulls it to ground at the start harms nobody, or only asks for the ROM's download mode.
    pub may_be_low: bool,
    /// Whether a pull-up harms nobody.
    pub may_be_high: bool,
}

/// The pins of a chip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pins {
    /// Ranges of pins that exist, both ends included.
    exist: &'static [(u8, u8)],
    taken: &'static [(u8, u8, &'static str)],
    input_only: &'static [(u8, u8)],
    straps: &'static [Strap],
    /// Where Espressif's boards have their coloured LED. That of the S3 moved with a revision of its board; the ESP32 has none.
    coloured: &'static [u8],
}

const FLASH: &str = "its flash";
const USB: &str = "USB";
const CONSOLE: &str = "the serial console";

const fn strap(gpio: u8, may_be_low: bool, may_be_high: bool) -> Strap {
    Strap {
        gpio,
        may_be_low,
        may_be_high,
    }
}

const ESP32: Pins = Pins {
    // 20 is led out of one module alone.
    exist: &[(0, 19), (21, 23), (25, 27), (32, 39)],
    // Modules with PSRAM need 16 and 17 for it, those of most boards do not.
    taken: &[(1, 1, CONSOLE), (3, 3, CONSOLE), (6, 11, FLASH)],
    input_only: &[(34, 39)],
    straps: &[
        // The button BOOT of most boards.
        strap(0, true, true),
        // High keeps the ROM from its download mode.
        strap(2, true, false),
        strap(5, true, true),
        // High chooses 1.8 V for the flash, which then does not work.
        strap(12, true, false),
        strap(15, true, true),
    ],
    coloured: &[],
};

const S3: Pins = Pins {
    exist: &[(0, 21), (26, 48)],
    // 33 to 37 belong to octal flash and PSRAM; modules without them do not lead them out alike.
    taken: &[(19, 20, USB), (26, 37, FLASH), (43, 44, CONSOLE)],
    input_only: &[],
    straps: &[
        // The button BOOT.
        strap(0, true, true),
        strap(3, true, true),
        // High chooses 1.8 V for the flash.
        strap(45, true, false),
        // High keeps the ROM from its download mode.
        strap(46, true, false),
    ],
    coloured: &[38, 48],
};

const C3: Pins = Pins {
    exist: &[(0, 21)],
    taken: &[(11, 17, FLASH), (18, 19, USB), (20, 21, CONSOLE)],
    input_only: &[],
    straps: &[
        strap(2, false, true),
        strap(8, false, true),
        // The button BOOT.
        strap(9, true, true),
    ],
    coloured: &[8],
};

const C6: Pins = Pins {
    exist: &[(0, 30)],
    taken: &[(12, 13, USB), (16, 17, CONSOLE), (24, 30, FLASH)],
    input_only: &[],
    straps: &[
        strap(4, true, true),
        strap(5, true, true),
        strap(8, false, true),
        strap(9, true, true),
        strap(15, true, true),
    ],
    coloured: &[8],
};

fn within(ranges: &[(u8, u8)], gpio: u8) -> bool {
    ranges
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&gpio))
}

impl Pins {
    /// Returns the pins of a chip, if they are known here.
    pub fn of(chip: Chip) -> Option<Self> {
        match chip {
            Chip::Esp32 => Some(ESP32),
            Chip::Esp32S3 => Some(S3),
            Chip::Esp32C3 => Some(C3),
            Chip::Esp32C6 => Some(C6),
            _ => None,
        }
    }

    pub fn exists(&self, gpio: u8) -> bool {
        within(self.exist, gpio)
    }

    /// Says what the chip needs the pin for, if it does.
    pub fn taken_by(&self, gpio: u8) -> Option<&'static str> {
        let found = self
            .taken
            .iter()
            .find(|(from, to, _)| (*from..=*to).contains(&gpio));
        found.map(|(_, _, by)| *by)
    }

    pub fn is_input_only(&self, gpio: u8) -> bool {
        within(self.input_only, gpio)
    }

    pub fn is_coloured(&self, gpio: u8) -> bool {
        self.coloured.contains(&gpio)
    }

    pub fn strap(&self, gpio: u8) -> Option<Strap> {
        self.straps.iter().find(|s| s.gpio == gpio).copied()
    }
}

/// Returns the chip with this name, as people and tools write it: `ESP32-C3` or `esp32c3`.
pub(super) fn named(name: &str) -> Option<Chip> {
    Chip::ALL
        .into_iter()
        .find(|chip| chip.title() == name || chip.as_str() == name)
}
