//! Tests of updates: whatever is lost, repeated, late or out of order, the truth wins.

use super::update::*;
use espalier_wire::ota::{Stage, reasons};
use proptest::prelude::*;

fn told(attempt: u32, stage: Stage, at: i64) -> Told {
    Told {
        attempt,
        stage,
        bytes: 0,
        patch: false,
        reason: None,
        at,
    }
}

fn failed(attempt: u32, stage: Stage, reason: &str, at: i64) -> Told {
    Told {
        reason: Some(reason.to_owned()),
        ..told(attempt, stage, at)
    }
}

fn seen(what: Runs, boots: u32, at: i64) -> Seen {
    Seen {
        what,
        boots: Some(boots),
        at,
    }
}

fn offered() -> Update {
    let mut update = Update::new();
    assert_eq!(update.begin(0, Some(10)), 1);
    update
}

#[test]
fn the_straight_way() {
    let mut update = Update::new();
    assert_eq!(
        (update.state(), update.next(0, 3)),
        (State::Waiting, Next::Begin(1))
    );
    update.begin(0, Some(10));
    assert_eq!(
        (update.state(), update.next(0, 3)),
        (State::Offered, Next::Continue(1))
    );
    assert!(update.report(Told {
        bytes: 4096,
        ..told(1, Stage::Downloading, 1)
    }));
    assert!(!update.report(Told {
        bytes: 4096,
        ..told(1, Stage::Downloading, 2)
    }));
    assert_eq!((update.state(), update.bytes()), (State::Downloading, 4096));
    update.report(told(1, Stage::Written, 3));
    assert_eq!(update.state(), State::Written);
    update.observe(seen(Runs::TargetOnTrial, 11, 4));
    assert_eq!(update.state(), State::Trial);
    update.report(told(1, Stage::Confirmed, 5));
    assert_eq!(
        (update.state(), update.confirmed_at(), update.next(9, 3)),
        (State::Confirmed, Some(5), Next::Done)
    );
}

#[test]
fn a_confirmed_update_stays_confirmed() {
    let mut update = offered();
    update.report(told(1, Stage::Confirmed, 5));
    for stage in [
        Stage::RolledBack,
        Stage::Failed,
        Stage::Downloading,
        Stage::Trial,
    ] {
        update.report(told(1, stage, 6));
        assert_eq!(update.state(), State::Confirmed);
    }
    update.observe(seen(Runs::Old, 99, 7));
    assert_eq!(
        (update.state(), update.runs()),
        (State::Confirmed, Some(Runs::Old))
    );
}

#[test]
fn what_runs_outweighs_what_was_reported() {
    // It reported a rollback, and then somebody flashed the image by cable.
    let mut update = offered();
    update.report(failed(1, Stage::RolledBack, reasons::CRASH_LOOP, 5));
    assert_eq!(
        (update.state(), update.reason()),
        (State::RolledBack, Some(reasons::CRASH_LOOP))
    );
    update.observe(seen(Runs::Target, 20, 9));
    assert_eq!((update.state(), update.reason()), (State::Confirmed, None));
    // It was seen on trial and is back, though it never said so.
    let mut update = offered();
    update.observe(seen(Runs::TargetOnTrial, 11, 5));
    update.observe(seen(Runs::Old, 12, 9));
    assert_eq!(update.state(), State::RolledBack);
    // A check that it sent before the trial arrives late.
    let mut update = offered();
    update.observe(seen(Runs::TargetOnTrial, 11, 5));
    update.observe(seen(Runs::Old, 10, 9));
    assert_eq!(update.state(), State::Trial);
    // The trial is known from a report only.
    let mut update = offered();
    update.report(told(1, Stage::Trial, 5));
    update.observe(seen(Runs::Old, 11, 9));
    assert_eq!(
        update.state(),
        State::Trial,
        "it may have lost power while downloading"
    );
    update.observe(seen(Runs::Old, 12, 10));
    assert_eq!(update.state(), State::RolledBack);
}

#[test]
fn an_image_that_was_written_and_never_started_ends_the_attempt() {
    let mut update = offered();
    update.report(told(1, Stage::Written, 1_000));
    update.observe(seen(Runs::Old, 11, 30_000));
    assert_eq!(update.state(), State::Written);
    update.observe(seen(Runs::Old, 11, 61_001));
    assert_eq!(
        (update.state(), update.reason()),
        (State::RolledBack, Some(reasons::BOOTLOADER))
    );
}

#[test]
fn a_board_that_is_seldom_seen_gets_its_next_attempt() {
    let mut update = offered();
    update.report(told(1, Stage::Written, 1));
    // The power failed before it could start the image. It asks every ten minutes, which is longer than the pause.
    let every = 2 * BACK_OFF_MS;
    update.observe(seen(Runs::Old, 11, every));
    assert_eq!(update.state(), State::RolledBack);
    assert_eq!(update.next(every, 3), Next::WaitUntil(every + BACK_OFF_MS));
    update.observe(seen(Runs::Old, 11, 2 * every));
    assert_eq!(update.next(2 * every, 3), Next::Begin(2));
    // What is seen later of a trial takes the end back, and the pause begins with the new one.
    update.observe(seen(Runs::TargetOnTrial, 12, 2 * every + 1));
    assert_eq!(update.state(), State::Trial);
    update.observe(seen(Runs::Old, 13, 3 * every));
    assert_eq!(
        update.next(3 * every, 3),
        Next::WaitUntil(3 * every + BACK_OFF_MS)
    );
}

#[test]
fn power_cuts_while_downloading_change_nothing() {
    let mut update = offered();
    for boots in 10..30 {
        update.report(Told {
            bytes: boots * 100,
            ..told(1, Stage::Downloading, i64::from(boots))
        });
        update.observe(seen(Runs::Old, boots, i64::from(boots)));
        assert_eq!(
            (update.state(), update.next(100, 3)),
            (State::Downloading, Next::Continue(1))
        );
    }
}

#[test]
fn attempts_are_limited_spaced_and_never_two_at_once() {
    let mut update = offered();
    update.report(failed(1, Stage::Failed, reasons::DOWNLOAD, 1_000));
    let first = 1_000 + BACK_OFF_MS;
    assert_eq!(update.next(1_000, 3), Next::WaitUntil(first));
    assert_eq!(update.next(first, 3), Next::Begin(2));
    update.begin(first, Some(10));
    assert_eq!(
        (update.state(), update.next(first, 3)),
        (State::Offered, Next::Continue(2))
    );
    // The first attempt's late words do not touch the second.
    update.report(failed(1, Stage::RolledBack, reasons::CRASH_LOOP, first + 1));
    assert_eq!(update.state(), State::Offered);
    update.report(failed(2, Stage::Failed, reasons::DOWNLOAD, first + 2));
    assert_eq!(
        update.next(first + 2, 3),
        Next::WaitUntil(first + 2 + 2 * BACK_OFF_MS)
    );
    update.begin(first + 2 + 2 * BACK_OFF_MS, Some(10));
    update.report(failed(3, Stage::Failed, reasons::DOWNLOAD, i64::MAX / 2));
    assert_eq!(update.next(i64::MAX / 2, 3), Next::Exhausted);
    assert!(
        !update.report(told(4, Stage::Confirmed, 1)),
        "there was no fourth attempt"
    );
    assert!(!update.report(told(0, Stage::Confirmed, 1)));
}

#[test]
fn what_cannot_help_is_not_tried_again_and_a_failed_patch_asks_for_the_whole_image() {
    for reason in [
        reasons::SIGNATURE,
        reasons::CHIP,
        reasons::SECURE_VERSION,
        reasons::SLOT,
    ] {
        let mut update = offered();
        update.report(failed(1, Stage::Failed, reason, 1));
        assert_eq!(update.next(i64::MAX, 3), Next::Exhausted, "{reason}");
    }
    let mut update = offered();
    update.report(failed(1, Stage::Failed, reasons::PATCH, 1));
    assert!(update.wants_whole_image());
    update.begin(10, Some(10));
    assert!(update.wants_whole_image());
}

#[test]
fn a_cancelled_update_ends_where_the_board_has_not_written_it() {
    let mut update = offered();
    update.cancel(5);
    assert_eq!(
        (update.state(), update.next(9, 3)),
        (State::Cancelled, Next::Done)
    );
    update.observe(seen(Runs::TargetOnTrial, 11, 6));
    assert_eq!(update.state(), State::Trial);
    update.observe(seen(Runs::Target, 11, 7));
    assert_eq!(update.state(), State::Confirmed);
    let mut update = offered();
    update.cancel(5);
    update.renew();
    assert_eq!(update.next(9, 3), Next::Continue(1));
}

#[test]
fn a_board_whose_counter_was_erased_is_believed_again() {
    let mut update = offered();
    update.observe(seen(Runs::TargetOnTrial, 50, 1_000));
    update.observe(seen(Runs::Old, 1, 2_000));
    assert_eq!(
        update.runs(),
        Some(Runs::TargetOnTrial),
        "a late check of before"
    );
    update.observe(seen(Runs::Old, 2, 3_600_000));
    assert_eq!(update.runs(), Some(Runs::Old));
}

#[test]
fn it_reads_back_from_json() {
    let mut update = offered();
    update.report(Told {
        bytes: 5,
        patch: true,
        ..told(1, Stage::Downloading, 1)
    });
    update.observe(seen(Runs::TargetOnTrial, 11, 5));
    update.report(failed(1, Stage::RolledBack, "it smoked", 6));
    let json = serde_json::to_string(&update).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Update>(&json).expect("an update"),
        update
    );
}

/// Something that reaches the server.
#[derive(Debug, Clone)]
enum Fact {
    Told(Told),
    Seen(Seen),
}

/// How a simulated attempt goes.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Confirms,
    CrashesOnTrial,
    FailsToDownload,
    StillDownloading,
    StillOnTrial,
}

/// The life of one board: what it says and shows, in the order in which it happens. The last fact is a sighting, as
/// every board asks again in the end.
fn life(fates: &[(Fate, u8)]) -> (Vec<i64>, Vec<Fact>, State) {
    let (mut boots, mut at, mut facts, mut begins) = (10, 0, Vec::new(), Vec::new());
    let mut end = State::Waiting;
    for (index, (fate, cuts)) in fates.iter().enumerate() {
        let attempt = u32::try_from(index).unwrap_or(0) + 1;
        at += 1_000_000;
        begins.push(at);
        let tell = |at: &mut i64, stage: Stage, bytes: u32, reason: Option<&str>| {
            *at += 1_000;
            let reason = reason.map(str::to_owned);
            Fact::Told(Told {
                attempt,
                stage,
                bytes,
                patch: false,
                reason,
                at: *at,
            })
        };
        facts.push(tell(&mut at, Stage::Downloading, 1, None));
        // At most one power cut per download can be told from a trial by the number of starts alone.
        for cut in 0..(*cuts % 2) {
            boots += 1;
            facts.push(Fact::Seen(seen(Runs::Old, boots, at + 1)));
            facts.push(tell(
                &mut at,
                Stage::Downloading,
                100 + u32::from(cut),
                None,
            ));
        }
        match fate {
            Fate::StillDownloading => {
                facts.push(Fact::Seen(seen(Runs::Old, boots, at + 1)));
                end = State::Downloading;
                break;
            }
            Fate::FailsToDownload => {
                facts.push(tell(&mut at, Stage::Failed, 0, Some(reasons::DOWNLOAD)));
                facts.push(Fact::Seen(seen(Runs::Old, boots, at + 1)));
                end = State::Failed;
            }
            Fate::Confirms | Fate::CrashesOnTrial | Fate::StillOnTrial => {
                facts.push(tell(&mut at, Stage::Written, 0, None));
                boots += 1;
                facts.push(tell(&mut at, Stage::Trial, 0, None));
                facts.push(Fact::Seen(seen(Runs::TargetOnTrial, boots, at + 1)));
                end = State::Trial;
                if matches!(fate, Fate::StillOnTrial) {
                    break;
                }
                boots += u32::from(*cuts / 2);
                if matches!(fate, Fate::Confirms) {
                    facts.push(tell(&mut at, Stage::Confirmed, 0, None));
                    facts.push(Fact::Seen(seen(Runs::Target, boots, at + 1)));
                    end = State::Confirmed;
                    break;
                }
                boots += 1;
                facts.push(tell(
                    &mut at,
                    Stage::RolledBack,
                    0,
                    Some(reasons::CRASH_LOOP),
                ));
                facts.push(Fact::Seen(seen(Runs::Old, boots, at + 1)));
                end = State::RolledBack;
            }
        }
    }
    (begins, facts, end)
}

fn tell(update: &mut Update, fact: Fact) {
    match fact {
        Fact::Told(told) => drop(update.report(told)),
        Fact::Seen(seen) => drop(update.observe(seen)),
    }
}

fn fates() -> impl Strategy<Value = Vec<(Fate, u8)>> {
    let fate = prop_oneof![
        Just(Fate::Confirms),
        Just(Fate::CrashesOnTrial),
        Just(Fate::FailsToDownload),
        Just(Fate::StillDownloading),
        Just(Fate::StillOnTrial),
    ];
    proptest::collection::vec((fate, 0u8..4), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Every order and any repetition of the facts leads to the same state, and that is the truth.
    #[test]
    fn every_order_leads_to_the_truth(fates in fates(), seed in proptest::collection::vec(any::<u32>(), 64)) {
        let (begins, facts, truth) = life(&fates);
        let mut straight = Update::new();
        let mut next = begins.iter().peekable();
        for fact in &facts {
            let at = match fact { Fact::Told(told) => told.at, Fact::Seen(seen) => seen.at };
            while let Some(begin) = next.next_if(|begin| **begin < at) {
                straight.begin(*begin, Some(10));
            }
            tell(&mut straight, fact.clone());
        }
        prop_assert_eq!(straight.state(), truth);

        let mut shuffled: Vec<(u32, Fact)> = Vec::new();
        for (i, fact) in facts.iter().enumerate() {
            for copy in 0..=(seed[i % 64] % 3) {
                let key = seed[(i * 7 + copy as usize * 13 + 1) % 64].wrapping_mul(2_654_435_761).wrapping_add(copy);
                shuffled.push((key, fact.clone()));
            }
        }
        shuffled.sort_by_key(|(key, _)| *key);
        let mut update = Update::new();
        for begin in &begins {
            update.begin(*begin, Some(10));
        }
        for (_, fact) in shuffled {
            tell(&mut update, fact);
        }
        prop_assert_eq!(update.state(), truth);
        prop_assert_eq!(update.bytes(), straight.bytes());
        prop_assert_eq!(update.confirmed_at(), straight.confirmed_at());
    }

    /// When every report is lost, or comes in any order with the moment of its arrival, the last sighting still tells
    /// whether the image stays.
    #[test]
    fn reports_may_all_be_lost_or_late(fates in fates(), lost: bool, seed in any::<u64>()) {
        let (begins, facts, truth) = life(&fates);
        let mut update = Update::new();
        for begin in &begins {
            update.begin(*begin, Some(10));
        }
        let (mut reports, mut sightings) = (Vec::new(), Vec::new());
        for fact in facts {
            match fact {
                Fact::Told(told) => reports.push(told),
                Fact::Seen(seen) => sightings.push(seen),
            }
        }
        if !lost {
            let len = reports.len();
            reports.rotate_left(usize::try_from(seed % len as u64).unwrap_or(0));
            for (n, report) in reports.into_iter().enumerate() {
                let at = 10_000_000 + i64::try_from(n).unwrap_or(0);
                update.report(Told { at, ..report });
            }
        }
        for seen in sightings {
            update.observe(seen);
        }
        if truth == State::Confirmed || (lost && truth == State::Trial) {
            prop_assert_eq!(update.state(), truth);
        } else {
            prop_assert_ne!(update.state(), State::Confirmed);
        }
    }

    /// Never two attempts at once, never more than allowed, whatever is said.
    #[test]
    fn attempts_never_overlap(words in proptest::collection::vec((0u32..6, 0usize..6, 0i64..100), 0..60), max in 1u32..5) {
        let (mut update, mut now) = (Update::new(), 0);
        for (attempt, stage, wait) in words {
            now += wait * 60_000;
            let before = update.attempt();
            if let Next::Begin(n) = update.next(now, max) {
                prop_assert!(!update.state().is_under_way());
                prop_assert_eq!(update.begin(now, None), n);
                prop_assert_eq!(n, before + 1);
            }
            prop_assert!(update.attempt() <= max);
            update.report(Told { attempt, stage: Stage::ALL[stage], bytes: 0, patch: false, reason: None, at: now });
        }
    }
}
