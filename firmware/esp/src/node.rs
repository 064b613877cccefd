//! Serves the node: lets it know that time passes, does what it wants, and feeds the watchdog of the chip while it may.

use embassy_futures::select::select;
use embassy_time::{Duration, Timer};
use esp_hal::rtc_cntl::Rtc;
use esp_println::println;
use espalier_device::node::{NodeInput, NodeOutput};
use espalier_device::wifi::Action;
use espalier_wire::json::Value;

use crate::desk::{Desk, Order, now_ms};
use crate::pins::Outputs;

/// Something that is done after the node is let go.
enum Wish {
    Radio(Action),
    Level(u8, u8),
    Change(&'static str, Value<'static>),
    Store,
    Settle,
    FactoryReset,
    Restart,
    Nothing,
}

/// Runs for ever.
#[embassy_executor::task]
pub async fn serve(desk: &'static Desk, mut outputs: Outputs, mut rtc: Rtc<'static>) {
    loop {
        desk.node.borrow_mut().step(now_ms(), NodeInput::Tick);
        while let Some(wish) = next(desk) {
            grant(desk, &mut outputs, wish).await;
        }
        if desk.node.borrow().may_feed(now_ms()) {
            rtc.rwdt.feed();
        }
        let rest = desk.node.borrow().wake_in_ms();
        select(
            desk.node_bell.wait(),
            Timer::after(Duration::from_millis(rest)),
        )
        .await;
    }
}

fn next(desk: &'static Desk) -> Option<Wish> {
    let mut node = desk.node.borrow_mut();
    Some(match node.poll()? {
        NodeOutput::Wifi(action) => Wish::Radio(action),
        NodeOutput::Level { gpio, level } => Wish::Level(gpio, level),
        NodeOutput::Changed { key, value } => owned(desk, key, value),
        NodeOutput::AskForUpdate => {
            desk.asked.signal(());
            Wish::Nothing
        }
        NodeOutput::NextPage => {
            desk.page.signal(());
            Wish::Nothing
        }
        // What moves is measured with everything else.
        NodeOutput::Motion(_) => Wish::Nothing,
        NodeOutput::StoreSchedules => Wish::Store,
        NodeOutput::Settle => Wish::Settle,
        NodeOutput::FactoryReset => Wish::FactoryReset,
        NodeOutput::Restart(_) => Wish::Restart,
    })
}

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

async fn grant(desk: &'static Desk, outputs: &mut Outputs, wish: Wish) {
    match wish {
        Wish::Radio(action) => desk.radio.send(Order::Node(action)).await,
        Wish::Level(gpio, level) => outputs.set(gpio, level),
        Wish::Change(key, value) => desk.changes.send((key, value)).await,
        Wish::Store => {
            let mut store = desk.store.borrow_mut();
            if desk.node.borrow_mut().store(&mut *store).is_err() {
                println!("espalier: the schedules cannot be stored");
            }
        }
        Wish::Settle => desk.settle(),
        Wish::FactoryReset => {
            println!("espalier: the board forgets everything and restarts");
            desk.forget();
        }
        Wish::Restart => desk.leave.signal(()),
        Wish::Nothing => {}
    }
}
