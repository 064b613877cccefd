//! Serves the station: lets it know that time passes, does what it wants, and feeds the watchdog of the chip while it may.

use embassy_futures::select::select;
use embassy_time::{Duration, Timer};
use esp_hal::rtc_cntl::Rtc;
use espalier_device::node::{StationInput, StationOutput};
use espalier_wire::json::Value;

use crate::desk::{Desk, Order, now_ms};
use crate::pins::Outputs;

/// Keys of the pattern of the LED.
const GLOW: [&str; 4] = [
    "led_mode",
    "led_brightness",
    "blink_interval",
    "external_led",
];
/// Names of patterns, the only texts that a board changes by itself.
const PATTERNS: [&str; 8] = [
    "status",
    "off",
    "on",
    "heartbeat",
    "fast",
    "slow",
    "breathing",
    "triple",
];

/// Something that is done after the station is let go.
enum Wish {
    Radio(Order),
    Level(u8, u8),
    Change(&'static str, Value<'static>),
    Settle,
    Restart,
    Nothing,
}

/// Runs for ever.
#[embassy_executor::task]
pub async fn serve(desk: &'static Desk, mut outputs: Outputs, mut rtc: Rtc<'static>) {
    loop {
        desk.step(StationInput::Tick);
        while let Some(wish) = next(desk) {
            match wish {
                Wish::Radio(order) => desk.radio.send(order).await,
                Wish::Level(gpio, level) => outputs.set(gpio, level),
                Wish::Change(key, value) => desk.changes.send((key, value)).await,
                Wish::Settle => desk.settle(),
                Wish::Restart => desk.leave.signal(()),
                Wish::Nothing => {}
            }
        }
        if desk.station.borrow_mut().node().may_feed(now_ms()) {
            rtc.rwdt.feed();
        }
        let rest = desk.station.borrow().wake_in_ms();
        select(
            desk.station_bell.wait(),
            Timer::after(Duration::from_millis(rest)),
        )
        .await;
    }
}

fn next(desk: &'static Desk) -> Option<Wish> {
    let mut station = desk.station.borrow_mut();
    Some(match station.poll()? {
        StationOutput::Serial(said) => {
            say(desk, said);
            Wish::Nothing
        }
        StationOutput::Scan => Wish::Radio(Order::Scan),
        StationOutput::Join(network) => Wish::Radio(Order::Join(network.clone())),
        StationOutput::Disconnect => Wish::Radio(Order::Disconnect),
        StationOutput::OpenPortal => Wish::Radio(Order::OpenPortal),
        StationOutput::ClosePortal => Wish::Radio(Order::ClosePortal),
        StationOutput::Level { gpio, level } => Wish::Level(gpio, level),
        StationOutput::Changed { key, value } => owned(desk, key, value),
        StationOutput::AskForUpdate => {
            desk.asked.signal(());
            Wish::Nothing
        }
        StationOutput::Settle => Wish::Settle,
        StationOutput::Halt => {
            desk.halt.signal(());
            Wish::Nothing
        }
        StationOutput::Restart => Wish::Restart,
        #[cfg(feature = "screen")]
        StationOutput::NextPage => {
            desk.page.signal(());
            Wish::Nothing
        }
        #[cfg(not(feature = "screen"))]
        StationOutput::NextPage => Wish::Nothing,
        // The link waits for an address by itself, and what moves is measured with everything else.
        StationOutput::Online
        | StationOutput::Offline
        | StationOutput::Motion(_)
        | StationOutput::Nothing => Wish::Nothing,
    })
}

/// Passes bytes to the serial lines. What does not fit any more is lost: nobody reads the lines.
fn say(desk: &Desk, mut said: &[u8]) {
    while !said.is_empty()
        && let Ok(count) = desk.serial.try_write(said)
    {
        said = said.get(count..).unwrap_or_default();
    }
}

/// Makes a change that may wait: keys of switches live as long as the desk, all other texts are known.
fn owned(desk: &'static Desk, key: &str, value: Value<'_>) -> Wish {
    let switches = desk.profile.switched().map(|pin| pin.key.as_str());
    let key = switches.chain(GLOW).find(|known| *known == key);
    let value = match value {
        Value::Bool(on) => Some(Value::Bool(on)),
        Value::Int(number) => Some(Value::Int(number)),
        Value::Text(text) => PATTERNS
            .into_iter()
            .find(|known| text == **known)
            .map(Value::from),
        Value::Float(_) | Value::Json(_) => None,
    };
    match (key, value) {
        (Some(key), Some(value)) => Wish::Change(key, value),
        _ => Wish::Nothing,
    }
}
