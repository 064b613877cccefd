//! The power fails at every write of an update, and thousands of times anywhere: no board is ever bricked, none runs an image
//! that nobody wants, and every one ends with the new image.

use espalier_device::rng::Rng;
use espalier_image::chip::Chip;
use espalier_image::delta;
use espalier_image::keys::{PrivateKey, key_set};
use espalier_wire::ota::reasons;

use crate::world::{World, hex, key, sha, signed};
use espalier_sim::firmware::{Fault, Firmware};

fn firmware(version: &str, size: usize) -> Vec<u8> {
    Firmware {
        size,
        ..Firmware::new(Chip::Esp32C3, version)
    }
    .image()
}

/// A board that runs the old image and is offered the new one, as a patch if one is given.
fn offered(old: &[u8], new: &[u8], patch: Option<&Vec<u8>>, seed: u64) -> World {
    let mut world = World::new(old, seed);
    world.allow(new);
    world.server.want(new);
    if let Some(patch) = patch {
        let pair = (hex(&sha(old)), hex(&sha(new)));
        world.server.patches.insert(pair, patch.clone());
    }
    world
}

/// Cuts the power in each erase and write of a whole update, from the first start to the confirmed image.
fn every_write(patch: bool) {
    let (old, new) = (firmware("1.0.0", 90_000), firmware("1.1.0", 90_003));
    let patch = patch.then(|| delta::encode(&old, &new).unwrap());
    let calm = {
        let mut world = offered(&old, &new, patch.as_ref(), 1);
        world.until_runs(&new);
        world.flash.operations()
    };
    assert!(calm > 50, "{calm}");
    for cut in 0..calm {
        for noise in 0..2 {
            let mut world = offered(&old, &new, patch.as_ref(), 1);
            world.flash.cut_power_at(cut, cut * 31 + noise * 7919);
            world.until_runs(&new);
            assert_eq!(world.power_cuts, 1, "cut {cut}");
        }
    }
}

/// The first contact of a board without keys, and the update that follows: wherever the power fails, the board has the keys or asks
/// for them again, and it never takes what they did not sign.
#[test]
fn a_first_contact_survives_a_cut_at_every_write() {
    let (old, new) = (firmware("1.0.0", 20_000), firmware("1.1.0", 20_003));
    let first = || {
        let mut world = offered(&old, &new, None, 1);
        world.keys.clear();
        world.server.keys = Some(key_set(0, &[key().public()]).unwrap());
        world
    };
    let calm = {
        let mut world = first();
        world.until_runs(&new);
        world.flash.operations()
    };
    let stranger = PrivateKey::from_seed(&[8; 32]);
    for cut in 0..calm {
        let mut world = first();
        world.flash.cut_power_at(cut, cut * 31);
        world.until_runs(&new);
        assert_eq!(world.power_cuts, 1, "cut {cut}");
        // Whoever comes next is a stranger; the world panics when his image runs.
        let bad = firmware("6.6.6", 20_000);
        let failed = world.server.reports.len();
        world.server.tries_again = false;
        world.server.keys = Some(key_set(9, &[stranger.public()]).unwrap());
        world.server.want_with(&bad, Some(signed(&bad, &stranger)));
        world.nudge();
        world.until("the stranger is refused", |w| {
            w.server.reports.len() > failed
        });
        assert_eq!(world.server.reports.last().unwrap().2, reasons::SIGNATURE);
    }
}

#[test]
fn a_whole_image_survives_a_cut_at_every_write() {
    every_write(false);
}

#[test]
fn a_patch_survives_a_cut_at_every_write() {
    every_write(true);
}

#[test]
fn a_return_to_the_old_image_survives_a_cut_at_every_write() {
    let old = firmware("1.0.0", 20_000);
    for fault in [Fault::Crash, Fault::SelfTest, Fault::LosesWifi] {
        let bad = Firmware {
            fault,
            size: 20_000,
            ..Firmware::new(Chip::Esp32C3, "1.1.0")
        }
        .image();
        let run = |cut: Option<u64>| {
            let mut world = offered(&old, &bad, None, 1);
            if let Some(cut) = cut {
                world.flash.cut_power_at(cut, cut * 7);
            }
            world.until("the first attempt has failed", |w| {
                w.server.attempt == 2 && w.rests()
            });
            assert_eq!(world.booted, sha(&old), "{fault}, {cut:?}");
            world.flash.operations()
        };
        let calm = run(None);
        for cut in 0..calm {
            run(Some(cut));
        }
    }
}

/// As many cuts as wanted, at random writes and random moments, during updates that go back and forth.
fn at_random(cuts: u64, seed: u64) -> (u64, u64, u64) {
    let images = [firmware("1.0.0", 90_000), firmware("1.1.0", 94_321)];
    let patches = [
        delta::encode(&images[0], &images[1]).unwrap(),
        delta::encode(&images[1], &images[0]).unwrap(),
    ];
    let mut rng = Rng::new(seed);
    let (mut done, mut updates, mut boots) = (0, 0, 0);
    while done < cuts {
        let mut world = World::new(&images[0], rng.next_u64());
        world.allow(&images[1]);
        world.break_one_in = Some(60);
        // One board: some updates back and forth, the power failing in most of them, often more than once.
        for n in 0..6 {
            let (from, to) = (n % 2, (n + 1) % 2);
            world.server.patches.clear();
            if rng.up_to(1) == 0 {
                let pair = (hex(&sha(&images[from])), hex(&sha(&images[to])));
                world.server.patches.insert(pair, patches[from].clone());
            }
            world.server.want(&images[to]);
            world.nudge();
            world.cut_one_in = (rng.up_to(2) == 0).then_some(400);
            for _ in 0..1 + rng.up_to(5) {
                world.flash.cut_power_at(rng.up_to(40), rng.next_u64());
                let so_far = world.power_cuts;
                let wanted = sha(&images[to]);
                world.until("the power fails, or the update is through", |w| {
                    w.power_cuts > so_far || (w.rests() && w.booted == wanted)
                });
            }
            world.cut_one_in = None;
            world.flash.power_on();
            world.until_runs(&images[to]);
            updates += 1;
        }
        done += world.power_cuts;
        boots += u64::from(world.boots);
    }
    (done, updates, boots)
}

#[test]
fn boards_survive_cuts_anywhere() {
    let (cuts, updates, _) = at_random(300, 20_261_127);
    assert!(
        cuts >= 300 && updates > 50,
        "{cuts} cuts, {updates} updates"
    );
}

#[test]
fn boards_survive_ten_thousand_cuts() {
    let (cuts, updates, boots) = at_random(10_000, 4);
    println!(
        "{cuts} power cuts in {updates} updates and {boots} starts: none bricked, none wrong, all through"
    );
}
