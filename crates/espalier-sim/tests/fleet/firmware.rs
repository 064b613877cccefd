//! Firmware over real sockets: good images stay, bad ones go, and flash in files remembers.

use espalier_image::chip::Chip;
use espalier_image::keys::{PrivateKey, sign};
use espalier_image::manifest;
use espalier_sim::firmware::{Fault, Firmware};
use espalier_sim::{BoardKind, BoardSpec, Faults, Fleet, FleetHandle, SimOptions};
use espalier_wire::ota::{Stage, reasons};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::server::{Server, hex, token};

const VERSION: &str = "1.1.0";

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[3; 32])
}

fn image(chip: Chip, fault: Fault) -> Vec<u8> {
    Firmware {
        fault,
        ..Firmware::new(chip, VERSION)
    }
    .image()
}

fn roll_out(server: &Server, image: &[u8]) {
    let manifest = sign(&manifest::of(image).unwrap(), &key()).unwrap();
    server.with(|s| s.roll_out(image.to_vec(), manifest));
}

fn run(
    server: &Server,
    count: u64,
    change: impl FnOnce(&mut SimOptions),
) -> (FleetHandle, CancellationToken, DropGuard) {
    let specs = (0..count).map(|n| {
        let device_id = format!("dev{n}");
        BoardSpec {
            kind: BoardKind::Plant,
            name: format!("Board {n}"),
            token: token(&device_id),
            device_id,
            seed: n,
            outage: None,
        }
    });
    let mut options = SimOptions {
        keys: vec![*key().public().bytes()],
        ..SimOptions::new(&server.url)
    };
    options.updates.settle_ms = 100;
    options.updates.retry_ms = 60_000;
    change(&mut options);
    let cancel = CancellationToken::new();
    let fleet = Fleet::run(specs.collect(), &options, &cancel).unwrap();
    (fleet, cancel.clone(), cancel.drop_guard())
}

#[tokio::test]
async fn a_good_image_reaches_every_board() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(&server, 8, |_| {});
    fleet.wait_until(|s| s.connected == 8).await;
    assert_eq!(fleet.firmware().versions.get("1.0.0"), Some(&8));
    let good = image(Chip::Esp32C3, Fault::None);
    roll_out(&server, &good);
    let summary = fleet.wait_until(|s| s.updates_confirmed == 8).await;
    assert_eq!((summary.updates_rolled_back, summary.bricked), (0, 0));
    let view = fleet.firmware();
    assert_eq!((view.versions.get(VERSION), view.slots), (Some(&8), [0, 8]));
    server.with(|s| {
        let wanted = (hex(&good), VERSION.to_owned());
        assert!(s.running.values().all(|runs| *runs == wanted));
        assert_eq!(s.bad_frames, Vec::<String>::new());
        for stage in [
            Stage::Downloading,
            Stage::Written,
            Stage::Trial,
            Stage::Confirmed,
        ] {
            assert!(s.reports.iter().filter(|r| r.1 == stage).count() >= 8);
        }
    });
}

#[tokio::test]
async fn bad_images_go_and_the_boards_stay() {
    for (fault, why) in [
        (Fault::Crash, reasons::CRASH_LOOP),
        (Fault::SelfTest, reasons::SELF_TEST),
        (Fault::NeverConfirms, reasons::SELF_TEST),
    ] {
        let server = Server::start().await;
        let (fleet, _cancel, _guard) = run(&server, 3, |o| o.updates.settle_ms = 2_000);
        fleet.wait_until(|s| s.connected == 3).await;
        roll_out(&server, &image(Chip::Esp32C3, fault));
        fleet.wait_until(|s| s.updates_rolled_back == 3).await;
        fleet.wait_until(|s| s.connected == 3).await;
        assert_eq!(fleet.firmware().versions.get("1.0.0"), Some(&3), "{fault}");
        server.with(|s| {
            let mut back = s.reports.iter().filter(|r| r.1 == Stage::RolledBack);
            assert!(back.all(|r| r.2 == why), "{fault}: {:?}", s.reports);
        });
    }
}

#[tokio::test]
async fn an_image_that_loses_its_wifi_is_taken_back_in_time() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(&server, 1, |o| o.updates.settle_ms = 30_000);
    fleet.wait_until(|s| s.connected == 1).await;
    roll_out(&server, &image(Chip::Esp32C3, Fault::LosesWifi));
    // The server grants eight seconds, half of which the image must live: by then its Wi-Fi is gone.
    fleet.wait_until(|s| s.updates_rolled_back == 1).await;
    server.with(|s| assert_eq!(s.reports.last().unwrap().2, reasons::NO_SERVER));
}

#[tokio::test]
async fn an_image_for_another_chip_is_refused() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(&server, 2, |_| {});
    fleet.wait_until(|s| s.connected == 2).await;
    roll_out(&server, &image(Chip::Esp32C6, Fault::None));
    fleet.wait_until(|s| s.updates_failed == 2).await;
    server.with(|s| assert!(s.reports.iter().all(|r| r.2 == reasons::CHIP)));
    assert_eq!(fleet.summary().restarts, 0);
}

#[tokio::test]
async fn flash_in_files_outlives_the_simulator_and_faulty_power() {
    let folder = std::env::temp_dir().join(format!("espalier-boards-{}", std::process::id()));
    let server = Server::start().await;
    let faulty = Faults {
        weak_power_every: Some(Duration::from_millis(1_000)),
        ..Faults::default()
    };
    let (fleet, cancel, _guard) = run(&server, 2, |o| {
        o.flash_dir = Some(folder.clone());
        o.faults = faulty;
        // Joins the Wi-Fi ten times faster: between two power cuts there is time to load something.
        o.rate = 10.0;
        o.download_rate = Some(100_000);
    });
    fleet.wait_until(|s| s.connected == 2).await;
    roll_out(&server, &image(Chip::Esp32C3, Fault::None));
    let runs_new = |fleet: &FleetHandle| fleet.firmware().versions.get(VERSION) == Some(&2);
    fleet
        .wait_until(|s| runs_new(&fleet) && s.connected == 2)
        .await;
    assert!(fleet.summary().power_cuts > 0);
    cancel.cancel();
    fleet.stopped().await;
    let (fleet, _cancel, _guard) = run(&server, 2, |o| o.flash_dir = Some(folder.clone()));
    fleet.wait_until(|s| s.connected == 2).await;
    assert!(runs_new(&fleet), "{:?}", fleet.firmware());
    std::fs::remove_dir_all(&folder).unwrap();
}
