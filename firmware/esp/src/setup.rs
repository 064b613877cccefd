//! Serves the set-up: does what it wants after it was told something over the serial lines or through the portal.

use embassy_futures::select::select;
use embassy_time::{Duration, Timer};
use espalier_device::node::NodeInput;
use espalier_device::settings::{MAX_NETWORKS, Network};
use espalier_device::setup::{Input, Output};
use espalier_device::wifi::Event;
use heapless::Vec;

use crate::desk::{Desk, Order};

/// Longest sleep.
const LONG: u64 = 3_600_000;

type Networks = Vec<Network, MAX_NETWORKS>;

/// Something that is done after the set-up is let go.
enum Wish {
    Scan,
    Join(Network),
    Changed,
    Used,
    Restart,
    Nothing,
}

fn networks(desk: &Desk) -> Networks {
    let setup = desk.setup.borrow();
    setup.settings().networks().iter().cloned().collect()
}

/// Runs for ever.
#[embassy_executor::task]
pub async fn serve(desk: &'static Desk) {
    let mut known = networks(desk);
    loop {
        while let Some(wish) = next(desk) {
            match wish {
                Wish::Scan => desk.radio.send(Order::Scan).await,
                Wish::Join(network) => desk.radio.send(Order::Join(network)).await,
                Wish::Changed => use_networks(desk, &mut known),
                Wish::Used => desk.tell(NodeInput::Wifi(Event::PortalUsed)),
                Wish::Restart => desk.leave.signal(()),
                Wish::Nothing => {}
            }
        }
        let rest = desk.setup.borrow().wake_in_ms().unwrap_or(LONG);
        select(
            desk.setup_bell.wait(),
            Timer::after(Duration::from_millis(rest)),
        )
        .await;
        desk.set_up(Input::Tick);
        // The tick rang the bell itself.
        desk.setup_bell.reset();
    }
}

fn next(desk: &Desk) -> Option<Wish> {
    let mut setup = desk.setup.borrow_mut();
    Some(match setup.poll()? {
        Output::Serial(mut said) => {
            // What does not fit any more is lost: nobody reads the lines.
            while let Ok(count) = desk.serial.try_write(said) {
                said = said.get(count..).unwrap_or_default();
                if said.is_empty() {
                    break;
                }
            }
            Wish::Nothing
        }
        Output::Scan => Wish::Scan,
        Output::Join(network) => Wish::Join(network.clone()),
        Output::Changed => Wish::Changed,
        Output::PortalUsed => Wish::Used,
        Output::Restart => Wish::Restart,
    })
}

/// Tells the node the networks when they are others; the first one is the one that was just entered.
fn use_networks(desk: &Desk, known: &mut Networks) {
    let now = networks(desk);
    if now == *known {
        return;
    }
    let first = now.first() != known.first() && !now.is_empty();
    desk.node
        .borrow_mut()
        .set_networks(now.iter().map(Network::ssid), first.then_some(0));
    *known = now;
    desk.tell(NodeInput::Tick);
}
