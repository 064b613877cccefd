//! The boards that are known by name. Those of existing sketches keep their pins, except where the pin cannot do it.

use espalier_image::chip::Chip;
use heapless::{String, Vec};

use super::{Pin, Profile, Role};

/// A pin in the table: GPIO, role, key, low means on.
type Row = (u8, Role, &'static str, bool);

struct Board {
    name: &'static str,
    chip: Chip,
    pins: &'static [Row],
}

/// The names of all boards.
pub const NAMES: [&str; 13] = [
    "esp32-c3-devkit",
    "esp32-c6-devkit",
    "esp32-c3-things",
    "esp32-c6-things",
    "esp32-c3-full",
    "esp32-things",
    "esp32-full",
    "esp32-led",
    "esp32-s3-n8r8",
    "esp32-devkit",
    "esp32-s3-devkit",
    "esp32-s3-things",
    "esp32-s3-full",
];

const BOARDS: [Board; 13] = [
    Board {
        name: NAMES[0],
        chip: Chip::Esp32C3,
        // GPIO8 is the coloured LED of the board; its driver lights it in one colour.
        pins: &[
            (8, Role::Led, "", false),
            (9, Role::Button, "", false),
            (4, Role::ExternalLed, "", false),
            (5, Role::Trigger, "", false),
        ],
    },
    Board {
        name: NAMES[1],
        chip: Chip::Esp32C6,
        pins: &[
            (8, Role::Led, "", false),
            (9, Role::Button, "", false),
            (18, Role::ExternalLed, "", false),
            (19, Role::Trigger, "", false),
        ],
    },
    Board {
        name: NAMES[2],
        chip: Chip::Esp32C3,
        pins: &[
            (8, Role::Led, "", false),
            (9, Role::Button, "", false),
            (4, Role::Relay, "v0", false),
            (5, Role::Relay, "v1", false),
            (6, Role::Relay, "v2", false),
            (7, Role::Relay, "v3", false),
            (10, Role::Relay, "v4", false),
            (3, Role::Dht22, "", false),
        ],
    },
    Board {
        name: NAMES[3],
        chip: Chip::Esp32C6,
        pins: &[
            (8, Role::Led, "", false),
            (9, Role::Button, "", false),
            (18, Role::Relay, "v0", false),
            (19, Role::Relay, "v1", false),
            (20, Role::Relay, "v2", false),
            (21, Role::Relay, "v3", false),
            (22, Role::Relay, "v4", false),
            (3, Role::Dht22, "", false),
        ],
    },
    Board {
        name: NAMES[4],
        chip: Chip::Esp32C3,
        // Every pin that a C3 leads out is in use: there is none for a status LED.
        pins: &[
            (9, Role::Button, "", false),
            (3, Role::Dht22, "", false),
            (0, Role::I2cSda, "", false),
            (1, Role::I2cScl, "", false),
            (8, Role::EpdCs, "", false),
            (6, Role::EpdSck, "", false),
            (7, Role::EpdMosi, "", false),
            (5, Role::EpdDc, "", false),
            (2, Role::EpdRst, "", false),
            (4, Role::EpdBusy, "", false),
            (10, Role::Pir, "", false),
        ],
    },
    Board {
        name: NAMES[5],
        chip: Chip::Esp32,
        pins: &[
            (0, Role::Button, "", false),
            (2, Role::Relay, "v0", false),
            (4, Role::Relay, "v1", false),
            (5, Role::Relay, "v2", false),
            (18, Role::Relay, "v3", false),
            (19, Role::Relay, "v4", false),
        ],
    },
    Board {
        name: NAMES[6],
        chip: Chip::Esp32,
        pins: &[
            (2, Role::Led, "", false),
            (4, Role::Dht22, "", false),
            (12, Role::Button, "", false),
            (14, Role::Trigger, "", false),
            (21, Role::I2cSda, "", false),
            (22, Role::I2cScl, "", false),
            (32, Role::Pir, "", false),
            (5, Role::EpdCs, "", false),
            (18, Role::EpdSck, "", false),
            (23, Role::EpdMosi, "", false),
            (25, Role::EpdRst, "", false),
            (26, Role::EpdDc, "", false),
            (27, Role::EpdBusy, "", false),
            (33, Role::EpdPower, "", false),
        ],
    },
    Board {
        name: NAMES[7],
        chip: Chip::Esp32,
        pins: &[
            (2, Role::Led, "", false),
            (4, Role::ExternalLed, "", false),
            (0, Role::Button, "", false),
        ],
    },
    Board {
        name: NAMES[8],
        chip: Chip::Esp32S3,
        pins: &[
            (2, Role::Led, "", false),
            (9, Role::Button, "", false),
            (4, Role::EpdRst, "", false),
            (5, Role::EpdDc, "", false),
            (6, Role::EpdCs, "", false),
            (7, Role::EpdBusy, "", false),
            (15, Role::EpdPower, "", false),
            (11, Role::EpdMosi, "", false),
            (12, Role::EpdSck, "", false),
        ],
    },
    Board {
        name: NAMES[9],
        chip: Chip::Esp32,
        // Espressif's own board has no LED; those that have one have it here.
        pins: &[
            (2, Role::Led, "", false),
            (0, Role::Button, "", false),
            (18, Role::ExternalLed, "", false),
            (19, Role::Trigger, "", false),
        ],
    },
    Board {
        name: NAMES[10],
        chip: Chip::Esp32S3,
        // The coloured LED of version 1.1 of the board; version 1.0 has it on GPIO48.
        pins: &[
            (38, Role::Led, "", false),
            (0, Role::Button, "", false),
            (4, Role::ExternalLed, "", false),
            (5, Role::Trigger, "", false),
        ],
    },
    Board {
        name: NAMES[11],
        chip: Chip::Esp32S3,
        pins: &[
            (38, Role::Led, "", false),
            (0, Role::Button, "", false),
            (4, Role::Relay, "v0", false),
            (5, Role::Relay, "v1", false),
            (6, Role::Relay, "v2", false),
            (7, Role::Relay, "v3", false),
            (15, Role::Relay, "v4", false),
            (16, Role::Dht22, "", false),
        ],
    },
    Board {
        name: NAMES[12],
        chip: Chip::Esp32S3,
        pins: &[
            (38, Role::Led, "", false),
            (0, Role::Button, "", false),
            (18, Role::Trigger, "", false),
            (16, Role::Dht22, "", false),
            (8, Role::I2cSda, "", false),
            (9, Role::I2cScl, "", false),
            (10, Role::EpdCs, "", false),
            (12, Role::EpdSck, "", false),
            (11, Role::EpdMosi, "", false),
            (13, Role::EpdDc, "", false),
            (14, Role::EpdRst, "", false),
            (21, Role::EpdBusy, "", false),
            (17, Role::Pir, "", false),
        ],
    },
];

/// Returns the board with this name.
pub fn named(name: &str) -> Option<Profile> {
    let board = BOARDS.iter().find(|board| board.name == name)?;
    let mut pins = Vec::new();
    for (gpio, role, key, inverted) in board.pins {
        let pin = Pin {
            gpio: *gpio,
            role: *role,
            key: String::try_from(*key).ok()?,
            inverted: *inverted,
        };
        pins.push(pin).ok()?;
    }
    Some(Profile {
        name: String::try_from(board.name).ok()?,
        chip: board.chip,
        pins,
    })
}
