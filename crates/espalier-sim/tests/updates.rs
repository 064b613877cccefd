//! Updates of one board in virtual time: what is taken, what is refused, what is taken back, and what every report says.

mod world;

use espalier_image::chip::Chip;
use espalier_image::otadata::State;
use espalier_sim::firmware::{Fault, Firmware};
use espalier_wire::ota::{Stage, reasons};
use world::{World, hex, sha};

fn firmware(version: &str, fault: Fault) -> Vec<u8> {
    Firmware {
        fault,
        size: 150_000,
        ..Firmware::new(Chip::Esp32C3, version)
    }
    .image()
}

fn old() -> Vec<u8> {
    firmware("1.0.0", Fault::None)
}

/// A board that runs the old image, and a server that wants another one.
fn wanting(image: &[u8]) -> World {
    let mut world = World::new(&old(), 1);
    world.allow(image);
    world.server.want(image);
    world
}

#[test]
fn a_good_image_is_taken_tried_and_kept() {
    let new = firmware("1.1.0", Fault::None);
    let mut world = wanting(&new);
    world.until_runs(&new);
    assert_eq!(
        world.server.stages(),
        [
            (1, Stage::Written, ""),
            (1, Stage::Trial, ""),
            (1, Stage::Confirmed, "")
        ]
    );
    assert_eq!(world.ota_state(), (1, State::Valid));
    assert_eq!(world.server.served, new.len() as u64);
    // And another one, into the first slot again.
    let next = firmware("1.2.0", Fault::None);
    world.allow(&next);
    world.server.want(&next);
    world.nudge();
    world.until_runs(&next);
    assert_eq!(world.ota_state(), (0, State::Valid));
    assert_eq!(world.boots, 3);
}

#[test]
fn what_does_not_prove_itself_is_taken_back() {
    for (fault, why) in [
        (Fault::Crash, reasons::CRASH_LOOP),
        (Fault::NeverConfirms, reasons::SELF_TEST),
        (Fault::LosesWifi, reasons::NO_SERVER),
        (Fault::SelfTest, reasons::SELF_TEST),
    ] {
        let mut world = wanting(&firmware("1.1.0", fault));
        world.until("the old image is back", |w| {
            w.server.stages().last() == Some(&(1, Stage::RolledBack, why))
        });
        assert_eq!(world.booted, sha(&old()), "{fault}");
        assert_eq!(world.ota_state(), (0, State::Valid), "{fault}");
        // Another attempt fares no better, and the board is none the worse.
        world.until("it is tried once more", |w| w.server.attempt == 3);
        assert_eq!(world.booted, sha(&old()), "{fault}");
    }
}
