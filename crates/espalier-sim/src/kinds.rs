//! The kinds of boards, and the twelve of the demo fleet.

use std::time::Duration;

use crate::options::Outage;

/// What a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoardKind {
    /// Temperature, humidity, pressure, wind and rain outside.
    WeatherStation,
    /// A socket with a power meter.
    SmartPlug,
    /// Four relays.
    RelayBoard,
    /// A potted plant with a pump.
    Plant,
    /// Presence and brightness of a room.
    Motion,
    /// A sensor on a battery that sleeps most of the time.
    BatterySensor,
    /// A heater that follows a setpoint.
    Thermostat,
    /// CO₂ and dust in a room with people.
    AirQuality,
    /// A tank with an inlet valve and a flow meter.
    WaterTank,
    /// A door with a lock.
    DoorLock,
    /// A lamp with brightness and colour.
    Lamp,
    /// A freezer whose door is left open sometimes.
    Freezer,
    /// The meter of a house.
    EnergyMeter,
}

impl BoardKind {
    /// Every kind.
    pub const ALL: [BoardKind; 13] = [
        BoardKind::WeatherStation,
        BoardKind::SmartPlug,
        BoardKind::RelayBoard,
        BoardKind::Plant,
        BoardKind::Motion,
        BoardKind::BatterySensor,
        BoardKind::Thermostat,
        BoardKind::AirQuality,
        BoardKind::WaterTank,
        BoardKind::DoorLock,
        BoardKind::Lamp,
        BoardKind::Freezer,
        BoardKind::EnergyMeter,
    ];

    /// Returns the short name that the board tells the server.
    pub const fn as_str(self) -> &'static str {
        match self {
            BoardKind::WeatherStation => "weather",
            BoardKind::SmartPlug => "plug",
            BoardKind::RelayBoard => "relay",
            BoardKind::Plant => "plant",
            BoardKind::Motion => "motion",
            BoardKind::BatterySensor => "battery",
            BoardKind::Thermostat => "thermostat",
            BoardKind::AirQuality => "air",
            BoardKind::WaterTank => "tank",
            BoardKind::DoorLock => "door",
            BoardKind::Lamp => "lamp",
            BoardKind::Freezer => "freezer",
            BoardKind::EnergyMeter => "meter",
        }
    }

    /// Returns the chip that such a board usually has.
    pub const fn chip(self) -> &'static str {
        match self {
            BoardKind::BatterySensor | BoardKind::Motion | BoardKind::DoorLock => "esp32c6",
            BoardKind::RelayBoard | BoardKind::EnergyMeter | BoardKind::WaterTank => "esp32",
            _ => "esp32c3",
        }
    }

    /// Returns the time between measurements at the normal rate.
    pub const fn interval(self) -> Duration {
        Duration::from_millis(match self {
            BoardKind::SmartPlug | BoardKind::EnergyMeter | BoardKind::Motion => 2_000,
            BoardKind::WaterTank | BoardKind::Thermostat | BoardKind::AirQuality => 3_000,
            BoardKind::DoorLock | BoardKind::Lamp | BoardKind::RelayBoard => 4_000,
            _ => 5_000,
        })
    }

    /// Returns how often the board wakes up to deliver, for one that sleeps.
    pub const fn wakes_every(self) -> Option<Duration> {
        match self {
            BoardKind::BatterySensor => Some(Duration::from_secs(30)),
            _ => None,
        }
    }

    /// Returns how often the server should expect to hear from the board at the normal rate, in seconds: what
    /// `expected_interval_seconds` of its device should be.
    pub fn expected_interval_s(self) -> u32 {
        let longest = self.wakes_every().unwrap_or_default().max(self.interval());
        u32::try_from(longest.as_secs()).unwrap_or(u32::MAX)
    }
}

/// A board of the demo fleet, before it has an identity on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoBoard {
    /// What it is.
    pub kind: BoardKind,
    /// What people call it.
    pub name: &'static str,
    /// When it drops off and returns by itself.
    pub outage: Option<Outage>,
}

/// Returns the twelve boards of the demo, each of another kind; one of them has a weak network.
pub fn demo_fleet() -> [DemoBoard; 12] {
    let weak = Outage {
        up: Duration::from_secs(75),
        away: Duration::from_secs(35),
    };
    [
        (BoardKind::WeatherStation, "Roof weather station"),
        (BoardKind::SmartPlug, "Coffee machine plug"),
        (BoardKind::RelayBoard, "Workshop relays"),
        (BoardKind::Plant, "Monstera in the hall"),
        (BoardKind::Motion, "Hallway motion"),
        (BoardKind::BatterySensor, "Cellar sensor on battery"),
        (BoardKind::Thermostat, "Living room heating"),
        (BoardKind::AirQuality, "Classroom air"),
        (BoardKind::WaterTank, "Rainwater tank"),
        (BoardKind::DoorLock, "Garden shed door"),
        (BoardKind::Lamp, "Desk lamp"),
        (BoardKind::Freezer, "Garage freezer"),
    ]
    .map(|(kind, name)| DemoBoard {
        kind,
        name,
        outage: (kind == BoardKind::Freezer).then_some(weak),
    })
}

/// Returns the kinds and names of a fleet of any size: every kind in turn, numbered.
pub fn numbered_fleet(count: usize) -> impl Iterator<Item = (BoardKind, String)> {
    let kinds = BoardKind::ALL.into_iter().cycle();
    kinds
        .take(count)
        .enumerate()
        .map(|(i, kind)| (kind, format!("{} {:05}", kind.as_str(), i + 1)))
}
