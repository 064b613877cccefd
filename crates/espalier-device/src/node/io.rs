//! What goes into a node and what comes out, and what the variants of the firmware can do.

use espalier_wire::json::Value;

use crate::machine::Led;
use crate::update::UpdateState;
use crate::wifi;

/// What a firmware can do, beyond connecting and being updated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Relays and PWM pins are switched.
    pub switches: bool,
    /// The LED shows the pattern that a person chooses.
    pub pattern: bool,
    /// A button asks for new firmware at once: the trigger of the board, else a short press of its button, unless that turns the
    /// pages of a display.
    pub trigger: bool,
    /// Sensors are read.
    pub sensors: bool,
    /// There is a display, whose pages a short press changes.
    pub screen: bool,
    /// Schedules run.
    pub schedules: bool,
}

impl Capabilities {
    /// Recovery: it connects and takes firmware, nothing else.
    pub const BASE: Capabilities = Capabilities {
        switches: false,
        pattern: false,
        trigger: false,
        sensors: false,
        screen: false,
        schedules: false,
    };
    /// Patterns of the LED.
    pub const BLINK: Capabilities = Capabilities {
        pattern: true,
        schedules: true,
        ..Capabilities::BASE
    };
    /// Sensors, display, button.
    pub const FULL: Capabilities = Capabilities {
        switches: true,
        sensors: true,
        screen: true,
        trigger: true,
        schedules: true,
        ..Capabilities::BASE
    };
    /// The board of the workshop: its button fetches its own firmware.
    pub const BOT: Capabilities = Capabilities {
        switches: true,
        trigger: true,
        ..Capabilities::BASE
    };
    /// Pins v0 to vN.
    pub const THINGS: Capabilities = Capabilities {
        switches: true,
        sensors: true,
        schedules: true,
        ..Capabilities::BASE
    };

    /// Returns what the variant with this name can do: `base`, `blink`, `full`, `bot` or `things`.
    pub fn named(variant: &str) -> Option<Self> {
        Some(match variant {
            "base" => Capabilities::BASE,
            "blink" => Capabilities::BLINK,
            "full" => Capabilities::FULL,
            "bot" => Capabilities::BOT,
            "things" => Capabilities::THINGS,
            _ => return None,
        })
    }
}

/// How the core is, for those beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The connection.
    pub led: Led,
    /// The time in milliseconds UTC, when the core knows it.
    pub wall_ms: Option<i64>,
    /// Its firmware.
    pub update: UpdateState,
}

impl Default for View {
    fn default() -> Self {
        View {
            led: Led::Searching,
            wall_ms: None,
            update: UpdateState::Idle,
        }
    }
}

/// Something that happened. Time comes beside it.
#[derive(Debug, Clone, Copy)]
pub enum NodeInput<'a> {
    /// Nothing but the passing of time.
    Tick,
    /// The radio, or someone at the portal.
    Wifi(wifi::Event<'a>),
    /// The level of an input pin: at the start, and whenever it changes.
    Pin {
        /// The number of the GPIO.
        gpio: u8,
        /// Its level.
        high: bool,
    },
    /// How the core is after its step.
    Core(View),
    /// The board restarts next, because the core or a person wants it: a restart that does not count as a failure. Poll for
    /// [`NodeOutput::Settle`] before it.
    Restarting,
}

/// Why the node wants to restart the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Safe mode has lasted long enough.
    LeaveSafeMode,
    /// The settings are new ones.
    Setup,
}

/// Something to do. Texts are valid until the next call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NodeOutput<'a> {
    /// For the radio.
    Wifi(wifi::Action),
    /// Drive an output pin: 0 is low, 255 is high, what lies between is the duty of a PWM (a pin without one: high from 128 on).
    Level {
        /// The number of the GPIO.
        gpio: u8,
        /// The level.
        level: u8,
    },
    /// Tell the core that a switch was changed at the board.
    Changed {
        /// The switch.
        key: &'a str,
        /// Its new value.
        value: Value<'a>,
    },
    /// Let the core ask for firmware at once.
    AskForUpdate,
    /// Show the next page of the display.
    NextPage,
    /// Something begins to move, or has not moved for a while.
    Motion(bool),
    /// Call [`super::Node::store`].
    StoreSchedules,
    /// Call [`crate::safe::Boots::settle`].
    Settle,
    /// Forget every setting, then restart.
    FactoryReset,
    /// Restart the board.
    Restart(Why),
}
