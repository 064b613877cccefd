//! Synthetic firmware: images that every parser takes for real and that tell a simulated board how to behave. A board does what
//! the image says that its bootloader started, nothing else.

use std::fmt;
use std::str::FromStr;

use espalier_device::rng::Rng;
use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_image::make::Make;

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It crashes moments after every start.
    Crash,
    /// It crashes moments after every start in which it measures and switches: safe mode does neither.
    CrashMeasuring,
    /// It runs and connects, and its own check never ends.
    NeverConfirms,
    /// It loses its Wi-Fi some seconds after the start, for good.
    LosesWifi,
    /// It loses memory until it crashes.
    Leaks,
    /// Its own check of the hardware fails.
    SelfTest,
}

impl Fault {
    /// Every fault, with its name.
    pub const ALL: [(Fault, &'static str); 7] = [
        (Fault::None, "none"),
        (Fault::Crash, "crash"),
        (Fault::CrashMeasuring, "crash-measuring"),
        (Fault::NeverConfirms, "never-confirms"),
        (Fault::LosesWifi, "loses-wifi"),
        (Fault::Leaks, "leaks"),
        (Fault::SelfTest, "self-test"),
    ];

    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        Fault::ALL
            .iter()
            .find(|(fault, _)| *fault == self)
            .map_or("none", |(_, name)| name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Fault::ALL.iter().find(|(_, known)| *known == name);
        known.map(|(fault, _)| *fault).ok_or_else(|| {
            let names: Vec<_> = Fault::ALL.iter().map(|(_, name)| *name).collect();
            format!("there is no fault {name}: take one of {}", names.join(", "))
        })
    }
}

/// A synthetic firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// The chip.
    pub chip: Chip,
    /// The project's name.
    pub project: String,
    /// The version.
    pub version: String,
    /// The secure version.
    pub secure_version: u32,
    /// What is wrong with it.
    pub fault: Fault,
    /// Bytes of its contents.
    pub size: usize,
}

/// The first line of the contents.
const MARK: &str = "espalier-simulated-firmware";
/// Most bytes of the lines at the beginning of the contents.
const LINES: usize = 128;

impl Firmware {
    /// Describes a firmware without faults, of 64 kB.
    pub fn new(chip: Chip, version: &str) -> Self {
        Firmware {
            chip,
            project: "simulated-board".to_owned(),
            version: version.to_owned(),
            secure_version: 0,
            fault: Fault::None,
            size: 64 * 1024,
        }
    }

    /// Returns the image's file. Equal descriptions give equal bytes; versions of one project differ little, as real ones do.
    pub fn image(&self) -> Vec<u8> {
        let mut payload = format!("{MARK}\nfault={}\n", self.fault).into_bytes();
        payload.resize(LINES, 0);
        let body = self.size.max(4096);
        let seed = seed(self.chip.as_str()) ^ seed(&self.project);
        let mut common = Rng::new(seed);
        let mut own = Rng::new(seed ^ self.version.bytes().fold(1, mix));
        while payload.len() < body {
            // Of every 4 kB some hundred bytes belong to the version.
            let words = payload.len() / 8 % 512;
            let common = common.next_u64();
            let word = if words < 24 { own.next_u64() } else { common };
            // Code repeats itself more than noise does.
            payload.extend_from_slice(&(word & 0x0f0f_3f3f_0f0f_3f3f).to_le_bytes());
        }
        payload.truncate(body);
        Make {
            chip: self.chip,
            project: &self.project,
            version: &self.version,
            secure_version: self.secure_version,
            payload: &payload,
            ..Make::default()
        }
        .bytes()
    }
}

fn seed(text: &str) -> u64 {
    text.bytes().fold(7, mix)
}

fn mix(sum: u64, byte: u8) -> u64 {
    sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
}

/// What an image makes a board do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// The version that the image names.
    pub version: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Behaviour {
    /// Reads an image; one that is not synthetic behaves well.
    pub fn of(image: &[u8]) -> Option<Self> {
        let image = app::parse(image).ok()?;
        let lines = image.payload().get(..LINES).unwrap_or_default();
        let fault = std::str::from_utf8(lines)
            .ok()
            .filter(|text| text.starts_with(MARK))
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("fault=")))
            .and_then(|name| name.parse().ok())
            .unwrap_or_default();
        Some(Behaviour {
            version: image.head.version.to_owned(),
            fault,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_what_it_was_described_as() {
        for (fault, name) in Fault::ALL {
            assert_eq!(name.parse(), Ok(fault));
            let firmware = Firmware {
                fault,
                ..Firmware::new(Chip::Esp32C6, "1.2.3")
            };
            let image = firmware.image();
            assert_eq!(image, firmware.image());
            let parsed = app::parse(&image).unwrap();
            assert_eq!(
                (parsed.head.chip, parsed.head.project),
                (Chip::Esp32C6, "simulated-board")
            );
            let behaviour = Behaviour::of(&image).unwrap();
            assert_eq!(
                (behaviour.version.as_str(), behaviour.fault),
                ("1.2.3", fault)
            );
        }
        assert!("fire".parse::<Fault>().is_err());
        assert_eq!(Behaviour::of(b"no image"), None);
    }

    #[test]
    fn versions_differ_little() {
        let one = Firmware::new(Chip::Esp32C3, "1.0.0").image();
        let two = Firmware::new(Chip::Esp32C3, "1.1.0").image();
        let differ = one.iter().zip(&two).filter(|(a, b)| a != b).count();
        assert!(differ > 1_000 && differ < one.len() / 10, "{differ}");
    }
}
