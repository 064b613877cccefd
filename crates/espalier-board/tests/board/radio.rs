//! The station's orders on a radio that a test plays: networks that let the board in, that never answer, and that get lost.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use embassy_futures::poll_once;
use espalier_board::desk::Desk;
use espalier_board::radio::{self, Air};
use espalier_board::station;
use espalier_device::settings::Network;
use espalier_device::setup::Seen;

use crate::whole::{NoPins, Shared, desk, flash, has_said, now, set_now};

const HOME: &str =
    r#"{"v":1,"networks":[{"ssid":"Home","password":"wifi-secret"}],"portal":"portal-secret"}"#;

/// What the radio does with what it is asked for.
#[derive(Default)]
struct World {
    /// Whether a network that is joined answers, and whether it gives an address.
    answers: bool,
    gives_address: bool,
    lost: bool,
    portal: bool,
    joined: u32,
}

#[derive(Clone, Default)]
struct Stage(Rc<RefCell<World>>);

impl Air for Stage {
    async fn scan(&mut self, tell: impl FnOnce(&[Seen<'_>])) -> bool {
        let ssid = "Home";
        tell(&[Seen {
            ssid,
            rssi: -50,
            encryption: 3,
        }]);
        true
    }

    async fn connect(&mut self, network: &Network) -> Result<(), bool> {
        assert_eq!(network.ssid(), "Home");
        self.0.borrow_mut().joined += 1;
        if !self.0.borrow().answers {
            core::future::pending().await
        }
        Ok(())
    }

    async fn address(&mut self) -> [u8; 4] {
        if !self.0.borrow().gives_address {
            core::future::pending().await
        }
        [10, 0, 0, 2]
    }

    async fn disconnect(&mut self) {}

    async fn lost(&mut self) {
        core::future::poll_fn(|_| {
            let lost = std::mem::take(&mut self.0.borrow_mut().lost);
            if lost {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await
    }

    fn portal(&mut self, open: bool) -> bool {
        self.0.borrow_mut().portal = open;
        true
    }

    fn rssi(&mut self) -> Option<i32> {
        Some(-50)
    }
}

/// Serves station and radio, second by second, until something is so.
fn until(
    what: &str,
    desk: &'static Desk<Shared>,
    mut radio: std::pin::Pin<&mut impl Future>,
    done: impl Fn() -> bool,
) {
    for _ in 0..3_000 {
        if done() {
            return;
        }
        set_now(now() + 1_000);
        let mut pins = NoPins;
        let mut turn = pin!(station::turn(desk, &mut pins));
        // The station may wait for room in the queue of orders, and the radio makes some.
        while poll_once(turn.as_mut()).is_pending() {
            assert!(poll_once(radio.as_mut()).is_pending());
        }
        assert!(poll_once(radio.as_mut()).is_pending(), "a radio never ends");
    }
    panic!("never: {what}");
}

#[test]
fn a_radio_obeys_whatever_the_network_does() {
    let desk = desk(&flash(HOME));
    let stage = Stage::default();
    let world = Rc::clone(&stage.0);
    let mut radio = pin!(radio::serve(desk, stage));
    // A network that never answers: the station tries on, and opens the portal in the end.
    until("three attempts", desk, radio.as_mut(), || {
        world.borrow().joined >= 3
    });
    until("the portal", desk, radio.as_mut(), || world.borrow().portal);
    assert_eq!(desk.address.get(), None);
    // One that lets the board in and gives no address is left, too.
    world.borrow_mut().answers = true;
    let before = world.borrow().joined;
    until("more attempts", desk, radio.as_mut(), || {
        world.borrow().joined > before + 1
    });
    assert_eq!(desk.address.get(), None);
    world.borrow_mut().gives_address = true;
    until("an address", desk, radio.as_mut(), || {
        desk.address.get() == Some([10, 0, 0, 2])
    });
    assert!(has_said("in the network as 10.0.0.2"));
    until("the portal closes", desk, radio.as_mut(), || {
        !world.borrow().portal
    });
    until("the signal", desk, radio.as_mut(), || {
        desk.rssi.get() == Some(-50)
    });
    // A network that is lost is joined again.
    let before = world.borrow().joined;
    world.borrow_mut().lost = true;
    until("the loss", desk, radio.as_mut(), || {
        has_said("the network is lost")
    });
    until("it is back", desk, radio.as_mut(), || {
        desk.address.get().is_some() && world.borrow().joined > before
    });
}
