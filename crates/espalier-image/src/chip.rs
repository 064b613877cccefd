//! The chips of the ESP32 family, as image headers number them.

use core::fmt;

/// A chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chip {
    /// ESP32.
    Esp32,
    /// ESP32-S2.
    Esp32S2,
    /// ESP32-C3.
    Esp32C3,
    /// ESP32-S3.
    Esp32S3,
    /// ESP32-C2, also sold as ESP8684.
    Esp32C2,
    /// ESP32-C6.
    Esp32C6,
    /// ESP32-H2.
    Esp32H2,
    /// ESP32-P4.
    Esp32P4,
    /// ESP32-C61.
    Esp32C61,
    /// ESP32-C5.
    Esp32C5,
    /// ESP32-H21.
    Esp32H21,
    /// ESP32-H4.
    Esp32H4,
    /// ESP32-E22.
    Esp32E22,
    /// ESP32-S31.
    Esp32S31,
}

/// What differs from chip to chip.
struct Facts {
    id: u16,
    name: &'static str,
    title: &'static str,
    bootloader: u32,
    /// MHz of the flash for the codes 0, 1, 2 and 15; 0 where the chip does not know the code.
    flash_mhz: [u8; 4],
    flash_data: u32,
    ram_code: u32,
}

const USUAL: [u8; 4] = [40, 26, 20, 80];
const C5: [u8; 4] = [40, 0, 20, 80];
const H2: [u8; 4] = [24, 16, 12, 48];
const H4: [u8; 4] = [24, 0, 0, 48];
const UNKNOWN: [u8; 4] = [0; 4];

/// In the order of the variants.
#[rustfmt::skip]
const FACTS: [Facts; 14] = [
    facts((0, "esp32", "ESP32"), 0x1000, USUAL, 0x3F40_0000, 0x4008_0000),
    facts((2, "esp32s2", "ESP32-S2"), 0x1000, USUAL, 0x3F00_0000, 0x4002_8000),
    facts((5, "esp32c3", "ESP32-C3"), 0, USUAL, 0x3C00_0000, 0x4038_0000),
    facts((9, "esp32s3", "ESP32-S3"), 0, USUAL, 0x3C00_0000, 0x4037_8000),
    facts((12, "esp32c2", "ESP32-C2"), 0, [30, 20, 15, 60], 0x3C00_0000, 0x4037_C000),
    facts((13, "esp32c6", "ESP32-C6"), 0, [80, 0, 20, 0], 0x4200_0000, 0x4080_0000),
    facts((16, "esp32h2", "ESP32-H2"), 0, H2, 0x4200_0000, 0x4080_0000),
    facts((18, "esp32p4", "ESP32-P4"), 0x2000, C5, 0x4000_0000, 0x4FF0_0000),
    facts((20, "esp32c61", "ESP32-C61"), 0, C5, 0x4200_0000, 0x4080_0000),
    facts((23, "esp32c5", "ESP32-C5"), 0x2000, C5, 0x4200_0000, 0x4080_0000),
    facts((25, "esp32h21", "ESP32-H21"), 0, H4, 0x4200_0000, 0x4080_0000),
    facts((28, "esp32h4", "ESP32-H4"), 0x2000, H4, 0x4200_0000, 0x4081_0000),
    facts((31, "esp32e22", "ESP32-E22"), 0, UNKNOWN, 0x3C00_0000, 0x30FE_0000),
    facts((32, "esp32s31", "ESP32-S31"), 0x2000, UNKNOWN, 0x4000_0000, 0x2F00_0000),
];

const fn facts(
    (id, name, title): (u16, &'static str, &'static str),
    bootloader: u32,
    flash_mhz: [u8; 4],
    flash_data: u32,
    ram_code: u32,
) -> Facts {
    Facts {
        id,
        name,
        title,
        bootloader,
        flash_mhz,
        flash_data,
        ram_code,
    }
}

impl Chip {
    /// Every chip, in the order of their ids.
    pub const ALL: [Chip; 14] = [
        Chip::Esp32,
        Chip::Esp32S2,
        Chip::Esp32C3,
        Chip::Esp32S3,
        Chip::Esp32C2,
        Chip::Esp32C6,
        Chip::Esp32H2,
        Chip::Esp32P4,
        Chip::Esp32C61,
        Chip::Esp32C5,
        Chip::Esp32H21,
        Chip::Esp32H4,
        Chip::Esp32E22,
        Chip::Esp32S31,
    ];

    const fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// The chip that image headers number so.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|chip| chip.id() == id)
    }

    /// The chip with this name, e.g. `esp32c3`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chip| chip.as_str() == name)
    }

    /// The number in image headers.
    pub const fn id(self) -> u16 {
        self.facts().id
    }

    /// The name that tools and this product use, e.g. `esp32c3`.
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// The name for people, e.g. `ESP32-C3`.
    pub const fn title(self) -> &'static str {
        self.facts().title
    }

    /// Where in flash the chip looks for the bootloader.
    pub const fn bootloader_offset(self) -> u32 {
        self.facts().bootloader
    }

    /// MHz of the flash for the code in image headers; nothing when the chip does not know the code.
    pub fn flash_mhz(self, code: u8) -> Option<u8> {
        let place = match code {
            0..=2 => usize::from(code),
            15 => 3,
            _ => return None,
        };
        let mhz = self.facts().flash_mhz.get(place).copied()?;
        (mhz > 0).then_some(mhz)
    }

    /// Where constants in flash appear in the chip's memory; images begin with them.
    pub const fn flash_data(self) -> u32 {
        self.facts().flash_data
    }

    /// Where code in RAM is loaded.
    pub const fn ram_code(self) -> u32 {
        self.facts().ram_code
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

#[cfg(test)]
mod tests {
    use super::Chip;

    #[test]
    fn ids_and_names_find_their_chip() {
        for chip in Chip::ALL {
            assert_eq!(Chip::from_id(chip.id()), Some(chip));
            assert_eq!(Chip::from_name(chip.as_str()), Some(chip));
        }
        assert!(Chip::ALL.is_sorted_by_key(|chip| chip.id()));
        assert_eq!(Chip::from_id(1), None);
        assert_eq!(Chip::from_name("ESP32"), None);
    }
}
