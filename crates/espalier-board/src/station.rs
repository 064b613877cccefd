//! Serves the station: lets it know that time passes, does what it wants, and feeds the watchdog of the chip while it may.

use embassy_futures::select::select;
use embassy_time::{Duration, Timer};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::node::{GLOW_KEYS, StationInput, StationOutput, glow_modes};
use espalier_wire::json::Value;

use crate::desk::Desk;
use crate::radio::Order;

/// The pins that a station drives.
pub trait Pins {
    /// Drives a pin: 0 is low, 255 is high.
    fn set(&mut self, gpio: u8, level: u8);
}

/// Something that is done after the station is let go.
enum Wish {
    Radio(Order),
    Level(u8, u8),
    Change(&'static str, Value<'static>),
    Settle,
    Restart,
    Nothing,
}

/// Runs for ever. `feed` feeds the watchdog of the chip.
pub async fn serve<F: NorFlash>(
    desk: &'static Desk<F>,
    pins: &mut impl Pins,
    mut feed: impl FnMut(),
) -> ! {
    loop {
        if turn(desk, pins).await {
            feed();
        }
        let rest = desk.station.borrow().wake_in_ms();
        let rest = Timer::after(Duration::from_millis(rest));
        select(desk.station_bell.wait(), rest).await;
    }
}

/// One turn of it: time passes, and what the station wants is done. Says whether the watchdog may be fed.
pub async fn turn<F: NorFlash>(desk: &'static Desk<F>, pins: &mut impl Pins) -> bool {
    desk.step(StationInput::Tick);
    while let Some(wish) = next(desk) {
        match wish {
            Wish::Radio(order) => desk.radio.send(order).await,
            Wish::Level(gpio, level) => pins.set(gpio, level),
            Wish::Change(key, value) => desk.changes.send((key, value)).await,
            Wish::Settle => desk.settle(),
            Wish::Restart => desk.leave.signal(()),
            Wish::Nothing => {}
        }
    }
    desk.may_feed()
}

fn next<F: NorFlash>(desk: &'static Desk<F>) -> Option<Wish> {
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
        StationOutput::NextPage => {
            desk.page.signal(());
            Wish::Nothing
        }
        // The link waits for an address by itself, and what moves is measured with everything else.
        StationOutput::Online
        | StationOutput::Offline
        | StationOutput::Motion(_)
        | StationOutput::Nothing => Wish::Nothing,
    })
}

/// Passes bytes to the serial lines. What does not fit any more is lost: nobody reads the lines.
fn say<F>(desk: &Desk<F>, mut said: &[u8]) {
    while !said.is_empty()
        && let Ok(count) = desk.serial.try_write(said)
    {
        said = said.get(count..).unwrap_or_default();
    }
}

/// Makes a change that may wait: keys of switches live as long as the desk, and modes of the LED are the only texts that a board
/// changes by itself.
fn owned<F: NorFlash>(desk: &'static Desk<F>, key: &str, value: Value<'_>) -> Wish {
    let switches = desk.profile.switched().map(|pin| pin.key.as_str());
    let key = switches.chain(GLOW_KEYS).find(|known| *known == key);
    let value = match value {
        Value::Bool(on) => Some(Value::Bool(on)),
        Value::Int(number) => Some(Value::Int(number)),
        Value::Text(text) => glow_modes().find(|known| text == **known).map(Value::from),
        Value::Float(_) | Value::Json(_) => None,
    };
    match (key, value) {
        (Some(key), Some(value)) => Wish::Change(key, value),
        _ => {
            desk.say(format_args!("a change at the board cannot be told"));
            Wish::Nothing
        }
    }
}
