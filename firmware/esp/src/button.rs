//! The button of the board: tells the core's machine when its pin changes, and does what the person meant.

use embassy_futures::select::select;
use embassy_time::{Instant, Timer};
use esp_hal::gpio::{AnyPin, Input, InputConfig, Pull};
use esp_println::println;
use espalier_device::button::{Button, Press, Times};
use espalier_device::led::{Pattern, bursts};
use espalier_device::profile::Pin;

use crate::desk::{Desk, Request, now_ms};

/// Takes the pin of a button to ground.
pub fn pin(pin: &Pin) -> Input<'static> {
    // SAFETY: the profile was checked: the pin exists and has no other role.
    let gpio = unsafe { AnyPin::steal(pin.gpio) };
    Input::new(gpio, InputConfig::default().with_pull(Pull::Up))
}

/// Watches the button.
#[embassy_executor::task]
pub async fn run(desk: &'static Desk, mut pin: Input<'static>) {
    let mut button = Button::new(Times::default());
    loop {
        if let Some(press) = button.step(now_ms(), pin.is_low()) {
            act(desk, press);
        }
        let due = Instant::from_millis(button.due().min(now_ms().saturating_add(3_600_000)));
        select(pin.wait_for_any_edge(), Timer::at(due)).await;
    }
}

fn act(desk: &Desk, press: Press) {
    let held = |pattern| desk.show(|lamp| lamp.hold(pattern));
    match press {
        Press::Down => held(Some(Pattern::On)),
        Press::LongReached => held(Some(Pattern::Slow(250))),
        Press::Warning => {
            println!("espalier: let the button go, or the board forgets everything");
            held(Some(Pattern::Fast));
        }
        Press::Short => {
            held(None);
            desk.burst(bursts::ASKED);
            desk.pressed.signal(());
        }
        Press::Long => {
            held(None);
            desk.burst(bursts::LONG_PRESS);
            desk.ask(Request::Portal);
        }
        Press::Cancelled => held(None),
        Press::FactoryReset => {
            println!("espalier: the board forgets everything and restarts");
            desk.factory_reset();
        }
    }
}
