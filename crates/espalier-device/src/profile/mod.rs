//! Board profiles: which pin does what, as data, and why a pin cannot do it. Not a driver: it touches no pin.
//!
//! A profile comes from the table of boards that are known ([`named`]), or from the settings as JSON
//! ([`crate::settings::Settings::board`], [`Profile::from_json`]); both pass the same check ([`Profile::check`]).
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | profiles: pins with roles, their check, their JSON |
//! | `chips.rs` | what each chip's pins can and must not do |
//! | `boards.rs` | the boards that are known |

mod boards;
mod chips;
#[cfg(test)]
mod tests;

use core::fmt;

use espalier_image::chip::Chip;
use espalier_wire::json::Json;
use espalier_wire::limits::check_key;
use heapless::{String, Vec};

pub use boards::{NAMES, named};
use chips::Pins;

/// Most pins of a profile.
pub const MAX_PINS: usize = 24;
/// Most pins that are dimmed: the channels that the chips have in common.
pub const MAX_DIMMED: usize = 6;
/// Longest name of a profile or key of a pin, in bytes.
pub const MAX_KEY: usize = 32;

/// What a pin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Switches something on and off.
    Relay,
    /// The status LED.
    Led,
    /// A second LED that patterns are shown on.
    ExternalLed,
    /// A push button to ground.
    Button,
    /// A push button to ground that asks for new firmware.
    Trigger,
    /// A brightness or speed.
    Pwm,
    /// Data of a DHT22.
    Dht22,
    /// Data of the I2C bus: BME280, PN532.
    I2cSda,
    /// Clock of the I2C bus.
    I2cScl,
    /// Output of a motion sensor.
    Pir,
    /// Interrupt of an NFC reader.
    NfcIrq,
    /// Select of the e-ink display.
    EpdCs,
    /// Clock of the display.
    EpdSck,
    /// Data to the display.
    EpdMosi,
    /// Data or command of the display.
    EpdDc,
    /// Reset of the display.
    EpdRst,
    /// Busy line of the display.
    EpdBusy,
    /// Power of the display.
    EpdPower,
}

/// How a role uses its pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The board drives it.
    Output,
    /// A button, to ground when it is pressed.
    Button,
    /// A line with a pull-up, high while nobody speaks.
    Bus,
    /// Somebody else drives it, also while the chip starts.
    HotInput,
}

impl Role {
    const ALL: [(Role, &'static str, Use); 18] = [
        (Role::Relay, "relay", Use::Output),
        (Role::Led, "led", Use::Output),
        (Role::ExternalLed, "external_led", Use::Output),
        (Role::Button, "button", Use::Button),
        (Role::Trigger, "trigger", Use::Button),
        (Role::Pwm, "pwm", Use::Output),
        // The sensor pulls the line down only when it is asked; at rest a pull-up holds it.
        (Role::Dht22, "dht22", Use::HotInput),
        (Role::I2cSda, "i2c_sda", Use::Bus),
        (Role::I2cScl, "i2c_scl", Use::Bus),
        (Role::Pir, "pir", Use::HotInput),
        (Role::NfcIrq, "nfc_irq", Use::HotInput),
        (Role::EpdCs, "epd_cs", Use::Output),
        (Role::EpdSck, "epd_sck", Use::Output),
        (Role::EpdMosi, "epd_mosi", Use::Output),
        (Role::EpdDc, "epd_dc", Use::Output),
        (Role::EpdRst, "epd_rst", Use::Output),
        (Role::EpdBusy, "epd_busy", Use::HotInput),
        (Role::EpdPower, "epd_power", Use::Output),
    ];

    fn entry(self) -> (&'static str, Use) {
        let found = Role::ALL.iter().find(|(role, ..)| *role == self);
        found.map_or(("", Use::HotInput), |(_, name, usage)| (name, *usage))
    }

    /// Returns the name in JSON.
    pub fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// Returns the role with this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Role::ALL.iter().find(|(_, known, _)| *known == name);
        found.map(|(role, ..)| *role)
    }

    /// Says whether a person switches pins of this role by their key.
    pub const fn is_switched(self) -> bool {
        matches!(self, Role::Relay | Role::Pwm)
    }

    /// Says whether a board can have several pins of this role.
    const fn may_repeat(self) -> bool {
        matches!(self, Role::Relay | Role::Pwm)
    }
}

/// A pin with its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The number of the GPIO.
    pub gpio: u8,
    /// What it does.
    pub role: Role,
    /// The key of the switch, of relays and PWM pins; else an empty text.
    pub key: String<MAX_KEY>,
    /// Whether low means on.
    pub inverted: bool,
}

/// A board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String<MAX_KEY>,
    /// Its chip.
    pub chip: Chip,
    /// Its pins.
    pub pins: Vec<Pin, MAX_PINS>,
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileError {
    /// The text is not the JSON of a profile; the field says what is missing or wrong.
    Malformed(&'static str),
    /// There is no role with this name.
    UnknownRole(String<MAX_KEY>),
    /// There is no table of the pins of this chip.
    UnknownChip(Chip),
    /// There are more than [`MAX_PINS`] pins.
    TooMany,
    /// Two pins are the same, or have the same key, or a role that is there once.
    Twice(u8),
    /// A relay or PWM pin has no key.
    NoKey(u8),
    /// The key of a relay or PWM pin has characters that no key may have.
    BadKey(u8),
    /// It is one more pin to be dimmed than [`MAX_DIMMED`].
    TooManyDimmed(u8),
    /// The chip has no such pin.
    NoPin(u8, Chip),
    /// The chip uses the pin itself.
    Taken(u8, &'static str),
    /// The pin can only be read.
    InputOnly(u8, &'static str),
    /// The pin decides how the chip starts.
    Strapping(u8, &'static str, Chip),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileError::Malformed(what) => write!(f, "the board profile {what}"),
            ProfileError::UnknownRole(name) => {
                write!(f, "a pin of the board profile has the unknown role {name}")
            }
            ProfileError::UnknownChip(chip) => {
                write!(f, "the pins of the {} are not known", chip.title())
            }
            ProfileError::TooMany => {
                write!(f, "a board profile may have at most {MAX_PINS} pins")
            }
            ProfileError::Twice(pin) => {
                write!(
                    f,
                    "GPIO{pin}, its role or its key is used twice in the board profile"
                )
            }
            ProfileError::NoKey(pin) => {
                write!(
                    f,
                    "GPIO{pin} is to be switched and needs a key, such as relay1"
                )
            }
            ProfileError::BadKey(pin) => write!(
                f,
                "the key of GPIO{pin} may have only letters, digits, spaces and _ . : - /"
            ),
            ProfileError::TooManyDimmed(pin) => write!(
                f,
                "GPIO{pin} is one too many: a board has at most {MAX_DIMMED} pins for LEDs and PWM"
            ),
            ProfileError::NoPin(pin, chip) => {
                write!(f, "the {} has no GPIO{pin}", chip.title())
            }
            ProfileError::Taken(pin, by) => {
                write!(f, "GPIO{pin} cannot be used: the chip needs it for {by}")
            }
            ProfileError::InputOnly(pin, role) => {
                write!(f, "GPIO{pin} can only be read and cannot be {role}")
            }
            ProfileError::Strapping(pin, role, chip) => write!(
                f,
                "GPIO{pin} decides how the {} starts and cannot be {role}, whose level is not the board's at that moment",
                chip.title()
            ),
        }
    }
}

impl core::error::Error for ProfileError {}

impl Profile {
    /// Reads `{"name":"…","chip":"ESP32-C3","pins":[{"gpio":4,"role":"relay","key":"relay1","inverted":true}]}` and checks it.
    /// Members that are not known are ignored.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        let profile = Self::parse(text)?;
        profile.check()?;
        Ok(profile)
    }

    /// Reads a profile that was saved, maybe by firmware that knew fewer rules: a pin that it drove in part or never is left away, and
    /// told to `left`, because the others must not stop with it.
    ///
    /// # Errors
    /// Says what is wrong with everything else.
    pub fn saved(text: &str, mut left: impl FnMut(ProfileError)) -> Result<Self, ProfileError> {
        let mut profile = Self::parse(text)?;
        loop {
            match profile.check() {
                Err(error @ (ProfileError::BadKey(gpio) | ProfileError::TooManyDimmed(gpio))) => {
                    profile.pins.retain(|pin| pin.gpio != gpio);
                    left(error);
                }
                done => return done.map(|()| profile),
            }
        }
    }

    fn parse(text: &str) -> Result<Self, ProfileError> {
        let bad = ProfileError::Malformed;
        let json = Json::parse(text).map_err(|_| bad("is not JSON"))?;
        let mut profile = Profile {
            name: String::new(),
            chip: Chip::Esp32C3,
            pins: Vec::new(),
        };
        let (mut chip, mut pins) = (None, None);
        for (name, value) in json.members().ok_or(bad("is not an object"))? {
            if name == "name" {
                profile.name =
                    short(value).ok_or(bad("has a name that is no text, or too long"))?;
            } else if name == "chip" {
                let named: String<MAX_KEY> =
                    short(value).ok_or(bad("has a chip that is no text"))?;
                chip = Some(chips::named(&named).ok_or(bad("is for an unknown chip"))?);
            } else if name == "pins" {
                pins = Some(value.elements().ok_or(bad("has pins that are no list"))?);
            }
        }
        profile.chip = chip.ok_or(bad("does not name its chip"))?;
        for pin in pins.ok_or(bad("has no pins"))? {
            let pin = Pin::from_json(pin)?;
            profile.pins.push(pin).map_err(|_| ProfileError::TooMany)?;
        }
        Ok(profile)
    }

    /// Checks that every pin can do what it should.
    ///
    /// # Errors
    /// Says of the first pin that cannot, why.
    pub fn check(&self) -> Result<(), ProfileError> {
        let pins = Pins::of(self.chip).ok_or(ProfileError::UnknownChip(self.chip))?;
        for (n, pin) in self.pins.iter().enumerate() {
            let before = self.pins.iter().take(n);
            let twice = |other: &Pin| {
                other.gpio == pin.gpio
                    || (other.role == pin.role && !pin.role.may_repeat())
                    || (other.key == pin.key && !pin.key.is_empty())
            };
            if before.into_iter().any(twice) {
                return Err(ProfileError::Twice(pin.gpio));
            }
            if pin.role.is_switched() && pin.key.is_empty() {
                return Err(ProfileError::NoKey(pin.gpio));
            }
            if pin.role.is_switched() && check_key(&pin.key).is_err() {
                return Err(ProfileError::BadKey(pin.gpio));
            }
            self.check_pin(pin, &pins)?;
        }
        match self
            .pins
            .iter()
            .filter(|pin| self.is_dimmed(pin))
            .nth(MAX_DIMMED)
        {
            Some(pin) => Err(ProfileError::TooManyDimmed(pin.gpio)),
            None => Ok(()),
        }
    }

    fn check_pin(&self, pin: &Pin, pins: &Pins) -> Result<(), ProfileError> {
        let (role, usage) = pin.role.entry();
        if !pins.exists(pin.gpio) {
            return Err(ProfileError::NoPin(pin.gpio, self.chip));
        }
        if let Some(by) = pins.taken_by(pin.gpio) {
            return Err(ProfileError::Taken(pin.gpio, by));
        }
        // The DHT22 is asked through the same pin.
        let driven = usage == Use::Output || usage == Use::Bus || pin.role == Role::Dht22;
        // Pins that can only be read have no pull-up: a button would float.
        let pulled = usage == Use::Button;
        if pins.is_input_only(pin.gpio) && (driven || pulled) {
            return Err(ProfileError::InputOnly(pin.gpio, role));
        }
        let Some(strap) = pins.strap(pin.gpio) else {
            return Ok(());
        };
        let harmless = match usage {
            Use::Output => true,
            // An inverted one pulls it up.
            Use::Button => strap.may_be_low && (strap.may_be_high || !pin.inverted),
            Use::Bus => strap.may_be_high,
            Use::HotInput => false,
        };
        if harmless {
            Ok(())
        } else {
            Err(ProfileError::Strapping(pin.gpio, role, self.chip))
        }
    }

    /// Says whether a pin is the coloured LED of its chip's own board, which is told its colour by pulses.
    pub fn is_coloured(&self, pin: &Pin) -> bool {
        let has = |pins: Pins| pins.is_coloured(pin.gpio);
        pin.role == Role::Led && !pin.inverted && Pins::of(self.chip).is_some_and(has)
    }

    /// Says whether a pin needs a channel of the chip for brightness.
    fn is_dimmed(&self, pin: &Pin) -> bool {
        let role = matches!(pin.role, Role::Led | Role::ExternalLed | Role::Pwm);
        role && !self.is_coloured(pin)
    }

    /// Returns the pin with a role that is there once.
    pub fn pin(&self, role: Role) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.role == role)
    }

    /// Returns the pins that are switched by their keys.
    pub fn switched(&self) -> impl Iterator<Item = &Pin> {
        self.pins.iter().filter(|pin| pin.role.is_switched())
    }

    /// Says whether every pin of the e-ink display is there.
    pub fn has_epd(&self) -> bool {
        let needed = [
            Role::EpdCs,
            Role::EpdSck,
            Role::EpdMosi,
            Role::EpdDc,
            Role::EpdRst,
            Role::EpdBusy,
        ];
        needed.iter().all(|role| self.pin(*role).is_some())
    }

    /// Says whether both lines of the I2C bus are there.
    pub fn has_i2c(&self) -> bool {
        self.pin(Role::I2cSda).is_some() && self.pin(Role::I2cScl).is_some()
    }
}

impl Pin {
    fn from_json(json: Json<'_>) -> Result<Self, ProfileError> {
        let bad = ProfileError::Malformed;
        let (mut gpio, mut role, mut key, mut inverted) = (None, None, String::new(), false);
        for (name, value) in json.members().ok_or(bad("has a pin that is no object"))? {
            if name == "gpio" {
                let number = value.as_u64().and_then(|n| u8::try_from(n).ok());
                gpio = Some(number.ok_or(bad("has a GPIO that is no number of a pin"))?);
            } else if name == "role" {
                let named: String<MAX_KEY> =
                    short(value).ok_or(bad("has a role that is no text"))?;
                role = Some(Role::named(&named).ok_or(ProfileError::UnknownRole(named))?);
            } else if name == "key" {
                key = short(value).ok_or(bad("has a key that is no text, or too long"))?;
            } else if name == "inverted" {
                inverted = value
                    .as_bool()
                    .ok_or(bad("has a pin whose inverted is neither true nor false"))?;
            }
        }
        Ok(Pin {
            gpio: gpio.ok_or(bad("has a pin without gpio"))?,
            role: role.ok_or(bad("has a pin without role"))?,
            key,
            inverted,
        })
    }
}

fn short(json: Json<'_>) -> Option<String<MAX_KEY>> {
    let mut out = String::new();
    json.as_text()?.chars().try_for_each(|c| out.push(c)).ok()?;
    Some(out)
}
