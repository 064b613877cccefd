//! Updates of one board in virtual time: what is taken, what is refused, what is taken back, and what every report says.

use crate::world::{World, hex, key, sha, signed};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::settings::import::import;
use espalier_device::update::UpdateState;
use espalier_device::{Slot, Storage};
use espalier_image::chip::Chip;
use espalier_image::keys::{PrivateKey, key_set, sign};
use espalier_image::otadata::State;
use espalier_sim::firmware::{Fault, Firmware};
use espalier_sim::flash::{RECORDS, SLOTS};
use espalier_wire::ota::{Stage, reasons};

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

fn new() -> Vec<u8> {
    firmware("1.1.0", Fault::None)
}

/// A board that runs the old image, and a server that wants another one.
fn wanting(image: &[u8]) -> World {
    let mut world = World::new(&old(), 1);
    world.allow(image);
    world.server.want(image);
    world
}

/// Runs until an attempt has failed, and says why; the old image runs.
fn refusal(world: &mut World) -> String {
    world.server.tries_again = false;
    world.until("the board refuses", |w| {
        w.server
            .reports
            .last()
            .is_some_and(|r| r.1 == Stage::Failed)
    });
    assert_eq!((world.booted, world.boots), (sha(&old()), 1));
    world.server.reports.last().unwrap().2.clone()
}

#[test]
fn a_good_image_is_taken_tried_and_kept() {
    let mut world = wanting(&new());
    world.until_runs(&new());
    let stages = [
        (1, Stage::Written, ""),
        (1, Stage::Trial, ""),
        (1, Stage::Confirmed, ""),
    ];
    assert_eq!(world.server.stages(), stages);
    assert_eq!(world.ota_state(), (1, State::Valid));
    assert_eq!(world.server.served, new().len() as u64);
    // And another one, into the first slot again.
    let next = firmware("1.2.0", Fault::None);
    world.allow(&next);
    world.server.want(&next);
    world.nudge();
    world.until_runs(&next);
    assert_eq!((world.ota_state(), world.boots), ((0, State::Valid), 3));
    // An offer of what runs already is settled without a byte.
    let served = world.server.served;
    world.server.running.clear();
    world.nudge();
    world.until_runs(&next);
    assert_eq!((world.server.served, world.boots), (served, 3));
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

#[test]
fn what_no_trusted_key_signed_is_refused_before_the_first_byte() {
    let other = PrivateKey::from_seed(&[8; 32]);
    let of_other_image = signed(&old(), &key());
    for (manifest, why) in [
        (None, reasons::SIGNATURE),
        (Some(signed(&new(), &other)), reasons::SIGNATURE),
        (Some("nonsense".to_owned()), reasons::SIGNATURE),
        (Some("x".repeat(5_000)), reasons::SIGNATURE),
        (Some(of_other_image), reasons::DIGEST),
    ] {
        let mut world = World::new(&old(), 1);
        world.server.want_with(&new(), manifest);
        assert_eq!(refusal(&mut world), why);
        assert_eq!(world.server.served, 0);
    }
    // Unless the installation says that it does not matter.
    let mut world = World::new(&old(), 1);
    world.policy(|policy| policy.allow_unsigned = true);
    world.allow(&new());
    world.server.want_with(&new(), None);
    world.until_runs(&new());
}

#[test]
fn what_is_not_for_this_board_is_refused() {
    let c6 = Firmware::new(Chip::Esp32C6, "1.1.0").image();
    assert_eq!(refusal(&mut wanting(&c6)), reasons::CHIP);
    // Without a manifest the image itself tells, in its first bytes.
    let mut world = wanting(&c6);
    world.policy(|policy| policy.allow_unsigned = true);
    world.server.want_with(&c6, None);
    assert_eq!(refusal(&mut world), reasons::CHIP);
    assert!(world.server.served < 9_000, "{}", world.server.served);

    let large = Firmware {
        size: SLOTS[1].size as usize,
        ..Firmware::new(Chip::Esp32C3, "1.1.0")
    };
    assert_eq!(refusal(&mut wanting(&large.image())), reasons::SLOT);
}

#[test]
fn the_secure_version_rises_with_a_confirmed_image_and_never_falls() {
    let secure = |version: &str, secure_version, fault| {
        Firmware {
            secure_version,
            fault,
            size: 20_000,
            ..Firmware::new(Chip::Esp32C3, version)
        }
        .image()
    };
    // An image that is taken back raises nothing.
    let bad = secure("2.0.0", 5, Fault::SelfTest);
    let mut world = wanting(&bad);
    world.server.tries_again = false;
    world.until("it is taken back", |w| {
        w.server
            .stages()
            .last()
            .is_some_and(|s| s.1 == Stage::RolledBack)
    });
    let good = secure("2.0.1", 3, Fault::None);
    world.allow(&good);
    world.server.want(&good);
    world.nudge();
    world.until_runs(&good);
    world.server.want(&secure("1.9.0", 2, Fault::None));
    world.nudge();
    world.until("the older one is refused", |w| {
        w.server
            .stages()
            .last()
            .is_some_and(|s| s.1 == Stage::Failed)
    });
    assert_eq!(
        world.server.reports.last().unwrap().2,
        reasons::SECURE_VERSION
    );
    assert_eq!(world.booted, sha(&good));
}

#[test]
fn wrong_bytes_never_start() {
    let mut world = wanting(&new());
    world.server.corrupt_at = Some(99_999);
    assert_eq!(refusal(&mut world), reasons::DIGEST);
    let mut world = wanting(&new());
    world.server.image_status = Some(500);
    assert_eq!(refusal(&mut world), reasons::DOWNLOAD);
}

#[test]
fn a_download_goes_on_where_the_network_or_the_power_broke_it() {
    let mut world = wanting(&new());
    world.break_one_in = Some(12);
    world.until_runs(&new());
    assert!(world.server.downloads.len() > 3);
    assert_eq!(
        world.server.served,
        new().len() as u64,
        "no byte came twice"
    );

    let mut world = wanting(&new());
    world.until(
        "two thirds are there",
        |w| matches!(w.state(), Some(UpdateState::Loading { bytes, .. }) if bytes > 100_000),
    );
    world.cut();
    world.until_runs(&new());
    let twice = world.server.served - new().len() as u64;
    assert!(twice <= 72_000, "{twice} bytes came twice");
}

#[test]
fn an_update_that_is_withdrawn_is_forgotten() {
    let mut world = wanting(&new());
    world.until(
        "a part is there",
        |w| matches!(w.state(), Some(UpdateState::Loading { bytes, .. }) if bytes > 70_000),
    );
    world.server.wanted = None;
    world.until("the board rests", World::rests);
    let questions = world.server.questions;
    world.until("it asks again", |w| w.server.questions > questions);
    assert_eq!((world.booted, world.boots), (sha(&old()), 1));
    // The same after a restart in the middle.
    let mut world = wanting(&new());
    world.until(
        "a part is there",
        |w| matches!(w.state(), Some(UpdateState::Loading { bytes, .. }) if bytes > 70_000),
    );
    world.server.wanted = None;
    world.cut();
    world.until("it has asked", |w| w.server.questions > 1 && w.rests());
    assert_eq!((world.booted, world.boots), (sha(&old()), 2));
}

#[test]
fn a_patch_that_cannot_be_applied_is_followed_by_the_whole_image() {
    let mut world = wanting(&new());
    let pair = (hex(&sha(&old())), hex(&sha(&new())));
    world.server.patches.insert(pair, vec![4; 3_000]);
    world.until_runs(&new());
    assert_eq!(world.server.stages()[0], (1, Stage::Failed, reasons::PATCH));
    let first = world.server.downloads.first().unwrap();
    let last = world.server.downloads.last().unwrap();
    assert!(first.0.ends_with("/patch") && last.0.ends_with("/image"));
    assert_eq!(world.server.attempt, 2);
}

#[test]
fn an_attempt_that_has_ended_is_told_again_and_not_repeated() {
    let mut world = wanting(&firmware("1.1.0", Fault::SelfTest));
    world.server.tries_again = false;
    world.until("it is told twice", |w| {
        let told = w.server.stages();
        told.iter().filter(|s| s.1 == Stage::RolledBack).count() == 3
    });
    assert_eq!(world.boots, 3);
}

#[test]
fn an_image_tests_itself_when_it_has_found_the_server() {
    let mut world = wanting(&firmware("1.1.0", Fault::SelfTest));
    world.until("it is on trial", |w| w.state() == Some(UpdateState::Trial));
    world.server.up = false;
    let boots = world.boots;
    world.until("the old image is back", |w| w.boots > boots && w.rests());
    world.server.up = true;
    world.until("the server hears that there was nothing to test", |w| {
        w.server.stages().last() == Some(&(1, Stage::RolledBack, reasons::NO_SERVER))
    });
}

#[test]
fn a_report_is_kept_until_the_server_hears_it() {
    let mut world = wanting(&firmware("1.1.0", Fault::LosesWifi));
    world.until("it is on trial", |w| w.state() == Some(UpdateState::Trial));
    world.server.up = false;
    let boots = world.boots;
    world.until("the old image is back", |w| w.boots > boots && w.rests());
    world.cut();
    world.until("it runs again", World::rests);
    world.server.up = true;
    world.until("the server hears why", |w| {
        w.server.stages().last() == Some(&(1, Stage::RolledBack, reasons::NO_SERVER))
    });
}

#[test]
fn keys_are_replaced_by_a_set_that_an_old_key_signed() {
    let (next, stranger) = (
        PrivateKey::from_seed(&[9; 32]),
        PrivateKey::from_seed(&[8; 32]),
    );
    let set =
        |serial, by: &PrivateKey| sign(&key_set(serial, &[next.public()]).unwrap(), by).unwrap();
    // A stranger's set changes nothing.
    let mut world = World::new(&old(), 1);
    world.server.keys = Some(set(5, &stranger));
    world.server.want_with(&new(), Some(signed(&new(), &next)));
    assert_eq!(refusal(&mut world), reasons::SIGNATURE);
    // One that an old key signed does, also after a restart, and the old key is worth nothing any more.
    world.server.keys = Some(set(6, &key()));
    world.server.want_with(&new(), Some(signed(&new(), &next)));
    world.allow(&new());
    world.nudge();
    world.until_runs(&new());
    let last = firmware("1.2.0", Fault::None);
    world.server.keys = None;
    world.server.want(&last);
    world.cut();
    world.until("the old key is refused", |w| {
        w.server
            .reports
            .last()
            .is_some_and(|r| r.1 == Stage::Failed)
    });
    assert_eq!(world.server.reports.last().unwrap().2, reasons::SIGNATURE);
}

/// A board that a person has provisioned at its console: the settings hold no key.
fn by_hand(image: &[u8]) -> World {
    let mut world = wanting(image);
    world.keys.clear();
    world
}

fn set_of(serial: u32, keys: &[&PrivateKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
    key_set(serial, &keys).unwrap()
}

/// The board is offered an image that `by` signed, with these keys, and refuses it; what it ran runs on.
fn stays(world: &mut World, by: &PrivateKey, keys: Option<String>) {
    let strange = firmware("6.6.6", Fault::None);
    world.until("it runs", |w| w.boots > 0);
    let (boots, booted) = (world.boots, world.booted);
    world.server.reports.clear();
    world.server.tries_again = false;
    world.server.keys = keys;
    world.server.want_with(&strange, Some(signed(&strange, by)));
    world.nudge();
    world.until("the stranger's image is refused", |w| {
        w.server.stages().iter().any(|s| s.1 == Stage::Failed)
    });
    assert_eq!(world.server.reports.last().unwrap().2, reasons::SIGNATURE);
    assert_eq!((world.booted, world.boots), (booted, boots));
}

#[test]
fn a_board_without_keys_keeps_the_first_that_its_server_names_and_no_others() {
    let stranger = PrivateKey::from_seed(&[8; 32]);
    for first in [
        set_of(0, &[&key()]),
        set_of(5, &[&key()]),
        sign(&set_of(5, &[&key()]), &key()).unwrap(),
    ] {
        let mut world = by_hand(&new());
        world.server.keys = Some(first);
        world.until_runs(&new());
        // The power fails: it knows them still, and whoever names others is a stranger.
        world.cut();
        world.turn();
        stays(&mut world, &stranger, Some(set_of(9, &[&stranger])));
        let by_itself = sign(&set_of(9, &[&stranger]), &stranger).unwrap();
        stays(&mut world, &stranger, Some(by_itself));
        stays(&mut world, &stranger, Some(set_of(0, &[&key(), &stranger])));
        // A set that a known key vouches for counts, as on every board.
        let next = PrivateKey::from_seed(&[9; 32]);
        let last = firmware("1.2.0", Fault::None);
        world.allow(&last);
        world.server.reports.clear();
        world.server.keys = Some(sign(&set_of(6, &[&next]), &key()).unwrap());
        world.server.want_with(&last, Some(signed(&last, &next)));
        world.nudge();
        world.until_runs(&last);
        world.cut();
        world.turn();
        stays(&mut world, &key(), None);
    }
}

#[test]
fn a_board_without_keys_takes_nothing_before_it_was_told_one() {
    let stranger = PrivateKey::from_seed(&[8; 32]);
    let mut world = by_hand(&new());
    stays(&mut world, &key(), None);
    for nonsense in ["", "espalier-key-set-v1\nserial:1\n", "keys"] {
        stays(&mut world, &key(), Some(nonsense.to_owned()));
    }
    // What the owner did not sign is refused also at the first contact.
    stays(&mut world, &stranger, Some(set_of(1, &[&key()])));
    stays(&mut world, &stranger, Some(set_of(2, &[&stranger])));
    world.server.reports.clear();
    world.server.want(&new());
    world.nudge();
    world.until_runs(&new());
}

#[test]
fn a_board_with_keys_trusts_no_first_contact() {
    let stranger = PrivateKey::from_seed(&[8; 32]);
    let mut world = wanting(&new());
    stays(&mut world, &stranger, Some(set_of(1, &[&stranger])));
    // One that was told keys once and cannot read them any more does not either.
    let mut world = by_hand(&new());
    world.server.keys = Some(set_of(1, &[&key()]));
    world.until_runs(&new());
    let mut records = espalier_sim::flash::records(&world.flash);
    for slot in [Slot::KeysA, Slot::KeysB] {
        records.write(slot, &[b"worn out"]).unwrap();
    }
    world.cut();
    world.turn();
    stays(&mut world, &stranger, Some(set_of(2, &[&stranger])));
}

#[test]
fn keys_that_a_person_gives_take_the_place_of_those_that_were_learned() {
    let given = PrivateKey::from_seed(&[9; 32]);
    let mut world = by_hand(&new());
    world.server.keys = Some(set_of(5, &[&key()]));
    world.until_runs(&new());
    world.keys = vec![*given.public().bytes()];
    world.cut();
    world.turn();
    stays(
        &mut world,
        &key(),
        Some(sign(&set_of(6, &[&key()]), &key()).unwrap()),
    );
    let last = firmware("1.2.0", Fault::None);
    world.allow(&last);
    world.server.reports.clear();
    world.server.want_with(&last, Some(signed(&last, &given)));
    world.nudge();
    world.until_runs(&last);
}

/// The board was sold with firmware that knew nothing of keys; what it remembers is in ESP-IDF's store.
#[test]
fn a_board_with_the_settings_of_older_firmware_is_updated() {
    const LEFT: &[u8] = include_bytes!("../../../espalier-device/tests/data/nvs-legacy.bin");
    let mut world = wanting(&new());
    let place = 0x9000;
    world.surroundings_differ = true;
    world.flash.write(place, LEFT).unwrap();
    let found = import(&mut world.flash, place, LEFT.len() as u32).unwrap();
    let settings = found.expect("settings are there").settings;
    let texts = [settings.server(), settings.device(), settings.token()];
    world.identity = texts.map(str::to_owned);
    world.keys = settings.keys().to_vec();
    assert!(settings.has_identity() && world.keys.is_empty());
    world.server.keys = Some(set_of(0, &[&key()]));
    world.until_runs(&new());
    world.cut();
    world.turn();
    stays(&mut world, &PrivateKey::from_seed(&[8; 32]), None);
}

#[test]
fn boards_without_sockets_update_between_their_polls() {
    let mut world = wanting(&new());
    world.server.sockets = false;
    world.until_runs(&new());
    assert_eq!(world.ota_state(), (1, State::Valid));
}

#[test]
fn what_the_bootloader_refuses_is_reported_and_not_chosen_again() {
    let mut world = wanting(&new());
    world.until("the slot is chosen", |w| w.ota_state() == (1, State::New));
    // A sector of the new image goes bad before it starts.
    world
        .flash
        .write(SLOTS[1].offset + 40_960, &[0; 4096])
        .unwrap();
    world.cut();
    world.until("it is reported", |w| {
        w.server.stages().last() == Some(&(1, Stage::RolledBack, reasons::BOOTLOADER))
    });
    assert_eq!(world.ota_state(), (0, State::Valid));
    // The next attempt writes the slot anew.
    world.until_runs(&new());
}

#[test]
fn a_trial_whose_record_is_lost_still_ends() {
    for (fault, slot) in [(Fault::None, 1), (Fault::SelfTest, 0), (Fault::Crash, 0)] {
        let image = firmware("1.1.0", fault);
        let mut world = wanting(&image);
        world.until("the slot is chosen", |w| w.ota_state() == (1, State::New));
        let end = RECORDS.offset + RECORDS.size;
        world.flash.erase(RECORDS.offset, end).unwrap();
        world.server.wanted = None;
        world.cut();
        world.until("it ends", |w| {
            w.rests() && w.ota_state() == (slot, State::Valid)
        });
    }
}

#[test]
fn two_power_cuts_on_trial_are_forgiven() {
    let mut world = wanting(&new());
    for _ in 0..2 {
        world.until("it is on trial", |w| w.state() == Some(UpdateState::Trial));
        world.cut();
        world.turn();
    }
    world.until_runs(&new());
    assert_eq!(world.server.attempt, 1);
}

#[test]
fn a_third_power_cut_on_trial_is_not() {
    let mut world = wanting(&new());
    for _ in 0..3 {
        world.until("it is on trial", |w| w.state() == Some(UpdateState::Trial));
        world.cut();
        world.turn();
    }
    world.until("the old image is back", |w| {
        w.server.stages().last() == Some(&(1, Stage::RolledBack, reasons::CRASH_LOOP))
    });
    assert_eq!(world.booted, sha(&old()));
}

#[test]
fn what_the_flash_did_not_keep_is_found_before_it_is_chosen() {
    let mut world = wanting(&new());
    world.until(
        "two thirds are there",
        |w| matches!(w.state(), Some(UpdateState::Loading { bytes, .. }) if bytes > 100_000),
    );
    world
        .flash
        .write(SLOTS[1].offset + 81_920, &[0; 4096])
        .unwrap();
    assert_eq!(refusal(&mut world), reasons::FLASH);
    assert_eq!(world.ota_state().0, 0);
}

#[test]
fn the_image_that_runs_sets_the_lowest_secure_version_also_without_a_record() {
    let secure = |version: &str, secure_version| {
        Firmware {
            secure_version,
            size: 20_000,
            ..Firmware::new(Chip::Esp32C3, version)
        }
        .image()
    };
    let factory = secure("2.0.0", 3);
    for manifest in [true, false] {
        let older = secure("1.9.0", 2);
        let mut world = World::new(&factory, 1);
        world.policy(|policy| policy.allow_unsigned = true);
        world.server.tries_again = false;
        world
            .server
            .want_with(&older, manifest.then(|| signed(&older, &key())));
        world.until("the older one is refused", |w| {
            !w.server.stages().is_empty()
        });
        assert_eq!(
            world.server.stages(),
            [(1, Stage::Failed, reasons::SECURE_VERSION)]
        );
    }
}

#[test]
fn a_page_of_another_network_confirms_nothing() {
    let mut world = wanting(&new());
    world.server.sockets = false;
    world.until("it is on trial", |w| w.state() == Some(UpdateState::Trial));
    world.server.portal = true;
    let boots = world.boots;
    world.until("it is given up", |w| w.boots > boots);
    world.server.portal = false;
    world.until("the server hears why", |w| {
        w.server.stages().last() == Some(&(1, Stage::RolledBack, reasons::NO_SERVER))
    });
}

#[test]
fn a_bad_image_is_taken_back_also_when_nothing_can_be_noted() {
    let mut world = wanting(&firmware("1.1.0", Fault::LosesWifi));
    world.until("it is on trial", |w| w.state() == Some(UpdateState::Trial));
    world.storage_broken = true;
    world.until("the old image is back", |w| {
        w.booted == sha(&old()) && w.rests()
    });
    assert_eq!(world.ota_state(), (0, State::Valid));
}

#[test]
fn a_server_that_offers_what_runs_wears_nothing_out() {
    let mut world = wanting(&new());
    world.until_runs(&new());
    world.server.insists = true;
    world.server.attempt += 1;
    world.nudge();
    let (before, until) = (world.flash.operations(), world.now + 3_600_000);
    world.until("an hour has passed", |w| w.now > until);
    let operations = world.flash.operations() - before;
    assert!(operations < 20, "{operations} in an hour");
}

#[test]
fn a_server_with_ever_new_attempts_does_not_wear_the_flash_out() {
    let mut world = wanting(&new());
    world.server.corrupt_at = Some(5_000);
    let until = world.now + 3_600_000;
    while world.now < until {
        world.nudge();
        let next = world.now + 10_000;
        world.until("the next nudge", |w| w.now > next);
    }
    let failed = world.server.reports.iter();
    let failed = failed.filter(|r| r.1 == Stage::Failed).count();
    // Six at once and one more every ten minutes.
    assert!((11..=12).contains(&failed), "{failed} attempts in an hour");
    // What is right is still taken, a little later.
    world.server.corrupt_at = None;
    world.until_runs(&new());
}
