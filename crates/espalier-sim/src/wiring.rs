//! What is wired to the pins of each kind of board: the profile that its node is given, and what the node may do. Not what hangs
//! on the pins: that is a model.

use espalier_device::node::Capabilities;
use espalier_device::profile::{Pin, Profile, Role};
use espalier_device::schedule::Zone;
use espalier_image::chip::Chip;

use crate::kinds::BoardKind;

/// A pin with its role, and the key of the switch that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    gpio: u8,
    role: Role,
    key: &'static str,
    inverted: bool,
}

const fn wire(gpio: u8, role: Role, key: &'static str) -> Wire {
    Wire {
        gpio,
        role,
        key,
        inverted: false,
    }
}

/// A relay that low switches on, as the coils of relay boards have it.
const fn coil(gpio: u8, key: &'static str) -> Wire {
    Wire {
        inverted: true,
        ..wire(gpio, Role::Relay, key)
    }
}

/// The LED of boards with a C3 or C6, which low switches on, and of those with an ESP32.
const LED: Wire = Wire {
    inverted: true,
    ..wire(8, Role::Led, "")
};
const ESP32_LED: Wire = wire(2, Role::Led, "");

const SENSORS: &[Wire] = &[LED];
const METER: &[Wire] = &[ESP32_LED];
const PLUG: &[Wire] = &[LED, wire(4, Role::Relay, "relay1")];
const TANK: &[Wire] = &[ESP32_LED, wire(16, Role::Relay, "relay1")];
const RELAYS: &[Wire] = &[
    ESP32_LED,
    coil(16, "relay1"),
    coil(17, "relay2"),
    coil(18, "relay3"),
    coil(19, "relay4"),
];
const ONE_SWITCH: &[Wire] = &[LED, wire(6, Role::Relay, "v0")];
const LAMP: &[Wire] = &[
    LED,
    wire(4, Role::Relay, "v0"),
    wire(5, Role::Pwm, "brightness"),
];

/// Returns what is wired to a board.
const fn wires(kind: BoardKind) -> &'static [Wire] {
    match kind {
        BoardKind::WeatherStation
        | BoardKind::Motion
        | BoardKind::BatterySensor
        | BoardKind::AirQuality
        | BoardKind::Freezer => SENSORS,
        BoardKind::EnergyMeter => METER,
        BoardKind::SmartPlug => PLUG,
        BoardKind::WaterTank => TANK,
        BoardKind::RelayBoard => RELAYS,
        BoardKind::Plant | BoardKind::Thermostat | BoardKind::DoorLock => ONE_SWITCH,
        BoardKind::Lamp => LAMP,
    }
}

/// Returns the keys of the switches that pins carry. A model may have more: numbers and texts that no pin can have.
pub fn switched(kind: BoardKind) -> impl Iterator<Item = &'static str> {
    let keys = wires(kind).iter().map(|wire| wire.key);
    keys.filter(|key| !key.is_empty())
}

/// Returns the switch that a pin carries, and its level there: 0 is off, 255 is full. None for a pin that carries a light.
pub fn driven(kind: BoardKind, gpio: u8, level: u8) -> Option<(&'static str, u8)> {
    let wire = wires(kind)
        .iter()
        .find(|wire| wire.gpio == gpio && wire.role.is_switched())?;
    Some((wire.key, if wire.inverted { 255 - level } else { level }))
}

/// Makes the profile of a kind of board.
pub fn profile(kind: BoardKind) -> Profile {
    let pins = wires(kind).iter().filter_map(|wire| {
        Some(Pin {
            gpio: wire.gpio,
            role: wire.role,
            key: wire.key.try_into().ok()?,
            inverted: wire.inverted,
        })
    });
    Profile {
        name: kind.as_str().try_into().unwrap_or_default(),
        chip: Chip::from_name(kind.chip()).unwrap_or(Chip::Esp32C3),
        pins: pins.collect(),
    }
}

/// Returns what the node of a kind of board may do. A board that switches nothing has nothing to schedule.
pub fn capabilities(kind: BoardKind) -> Capabilities {
    let schedules = switched(kind).next().is_some();
    Capabilities {
        schedules,
        ..Capabilities::THINGS
    }
}

/// Returns the zone of boards whose local time is so many seconds ahead of UTC.
pub fn zone(ahead_s: i32) -> Zone {
    // POSIX counts to the west.
    let sign = if ahead_s < 0 { '+' } else { '-' };
    let s = ahead_s.unsigned_abs();
    let text = format!("SIM{sign}{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
    Zone::parse(&text).unwrap_or(Zone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics;

    #[test]
    fn every_chip_has_the_pins_and_every_model_the_switches() {
        for kind in BoardKind::ALL {
            profile(kind).check().unwrap();
            assert_eq!(profile(kind).pins.len(), wires(kind).len(), "{kind:?}");
            let model = physics::model(kind, 1);
            for key in switched(kind) {
                assert!(
                    model.switches().iter().any(|(known, _)| *known == key),
                    "{kind:?}: {key}"
                );
            }
        }
    }

    #[test]
    fn a_coil_is_on_when_its_pin_is_low() {
        let relays = BoardKind::RelayBoard;
        assert_eq!(driven(relays, 17, 0), Some(("relay2", 255)));
        assert_eq!(driven(relays, 17, 255), Some(("relay2", 0)));
        assert_eq!(driven(relays, 2, 255), None);
    }

    #[test]
    fn zones_count_to_the_east() {
        for ahead in [0, 7_200, -12_600, 86_399] {
            assert_eq!(zone(ahead).offset_at(1_763_510_400), ahead);
        }
    }
}
