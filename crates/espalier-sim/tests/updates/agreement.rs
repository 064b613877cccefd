//! The board's machine of an update and the server's, against each other: requests, answers and frames are lost, heard twice or
//! late, the power fails on the board, the server dies. In the end, when messages get through again, both say the same.
//!
//! [`Model`] does with what it hears what the server does: it keeps reports and what begins before it answers, sightings soon
//! after, and asks [`Update::next`] what to offer.

use espalier_image::chip::Chip;
use espalier_image::delta;
use espalier_image::otadata;
use espalier_model::ota::update::{Next, Runs, Seen, State, Told, Update};
use espalier_sim::firmware::{Fault, Firmware};
use espalier_wire::ota::{Report, Stage, reasons};
use proptest::prelude::*;

use crate::world::{World, hex, sha};

/// The server's clock when a world begins, milliseconds UTC.
const T0: i64 = 1_763_683_200_000;

/// What the server knows of a board: the image, whether it is on trial, and its starts.
#[derive(Debug, Clone, Default)]
struct Running {
    sha256: Option<String>,
    trial: bool,
    boots: Option<u32>,
}

/// The server's side of one update.
#[derive(Debug, Clone)]
pub struct Model {
    pub update: Update,
    /// What a server that dies finds again.
    stored: String,
    running: Running,
    old: String,
    target: String,
    max_attempts: u32,
    /// Reports that the network still carries around.
    late: Vec<String>,
    deaths: u32,
}

fn utc(now: u64) -> i64 {
    T0 + i64::try_from(now).unwrap()
}

impl Model {
    pub fn new(old: &str, target: &str, max_attempts: u32) -> Self {
        let mut model = Model {
            update: Update::new(),
            stored: String::new(),
            running: Running::default(),
            old: old.to_owned(),
            target: target.to_owned(),
            max_attempts,
            late: Vec::new(),
            deaths: 0,
        };
        model.store();
        model
    }

    fn store(&mut self) {
        self.stored = serde_json::to_string(&self.update).unwrap();
    }

    /// The server dies and comes back: sightings that were not stored yet are forgotten, as is what runs.
    fn die(&mut self) {
        self.update = serde_json::from_str(&self.stored).unwrap();
        self.running = Running::default();
        self.deaths += 1;
    }

    /// A board asks what to install; returns the attempt that it is offered.
    pub fn asked(&mut self, now: u64, query: &str) -> Option<u32> {
        self.running.sha256 = Some(query[..64].to_owned());
        self.running.trial = query.contains("&trial=1");
        self.seen(now);
        if self.running.sha256.as_ref() == Some(&self.target) {
            return None;
        }
        match self.update.next(utc(now), self.max_attempts) {
            Next::Continue(attempt) => Some(attempt),
            Next::Begin(attempt) => {
                assert_eq!(self.update.begin(utc(now), self.running.boots), attempt);
                self.store();
                Some(attempt)
            }
            Next::WaitUntil(_) | Next::Exhausted | Next::Done => None,
        }
    }

    /// A board reports.
    pub fn told(&mut self, now: u64, body: &str) {
        let report = Report::parse(body).unwrap();
        let told = Told {
            attempt: report.attempt,
            stage: report.stage,
            bytes: report.bytes.unwrap_or(0),
            patch: report.patch,
            reason: report.reason.map(|text| text.to_owned_string()),
            at: utc(now),
        };
        if self.update.report(told) {
            self.store();
        }
        if let Some(running) = report.running {
            self.running.sha256 = Some(running.to_owned_string());
            self.running.trial = report.stage == Stage::Trial;
        }
        self.seen(now);
    }

    /// A board says hello.
    pub fn hello(&mut self, now: u64, sha256: &str, trial: bool, boots: Option<u32>) {
        self.running = Running {
            sha256: Some(sha256.to_owned()),
            trial,
            boots,
        };
        self.seen(now);
    }

    /// A sign of life: what runs is still what it was.
    pub fn seen(&mut self, now: u64) {
        let what = match &self.running.sha256 {
            None => return,
            Some(sha) if *sha == self.target && self.running.trial => Runs::TargetOnTrial,
            Some(sha) if *sha == self.target => Runs::Target,
            Some(sha) if *sha == self.old => Runs::Old,
            Some(_) => Runs::Other,
        };
        if self.update.attempt() > 0 {
            self.update.observe(Seen {
                what,
                boots: self.running.boots,
                at: utc(now),
            });
        }
    }
}

/// What an image can do wrong on trial, and what the board says of it.
const FAULTS: [(Fault, &str); 4] = [
    (Fault::Crash, reasons::CRASH_LOOP),
    (Fault::SelfTest, reasons::SELF_TEST),
    (Fault::LosesWifi, reasons::NO_SERVER),
    (Fault::NeverConfirms, reasons::SELF_TEST),
];

/// How bad the world is: each thing happens one time in so many, never when 0.
#[derive(Debug, Clone, Copy)]
struct Storm {
    seed: u64,
    requests_lost: u64,
    frames_lost: u64,
    twice: u64,
    late: u64,
    power_cuts: u64,
    server_deaths: u64,
    sockets: bool,
    patch: bool,
    turns: u32,
}

fn one_in(n: u64) -> Option<u64> {
    (n > 0).then_some(n)
}

fn storm() -> impl Strategy<Value = Storm> {
    let rate = || prop_oneof![Just(0), 2..40_u64];
    let rare = || prop_oneof![Just(0), 60..600_u64];
    (
        any::<u64>(),
        [rate(), rate(), rate(), rate()],
        [rare(), rare()],
        any::<[bool; 2]>(),
        0..2_500_u32,
    )
        .prop_map(|(seed, often, seldom, [sockets, patch], turns)| Storm {
            seed,
            requests_lost: often[0],
            frames_lost: often[1],
            twice: often[2],
            late: often[3],
            power_cuts: seldom[0],
            server_deaths: seldom[1],
            sockets,
            patch,
            turns,
        })
}

fn firmware(version: &str, fault: Fault) -> Vec<u8> {
    Firmware {
        fault,
        size: 30_000,
        ..Firmware::new(Chip::Esp32C3, version)
    }
    .image()
}

/// A board with the old image, a server that wants the new one on it, and the storm between them.
fn world(new: &[u8], storm: Storm, max_attempts: u32) -> World {
    let old = firmware("1.0.0", Fault::None);
    let mut w = World::new(&old, storm.seed);
    w.allow(new);
    w.server.want(new);
    w.server.tries_again = false;
    w.server.sockets = storm.sockets;
    let pair = (hex(&sha(&old)), hex(&sha(new)));
    w.server.model = Some(Model::new(&pair.0, &pair.1, max_attempts));
    if storm.patch {
        w.server
            .patches
            .insert(pair, delta::encode(&old, new).unwrap());
    }
    w
}

/// The server says that a board has confirmed an image only when the board's flash says so.
fn check(w: &World, new: &[u8]) {
    let model = w.server.model.as_ref().unwrap();
    if model.update.state() == State::Confirmed && !w.flash.is_dead() {
        assert_eq!(
            w.booted,
            sha(new),
            "the server believes in an image that does not run"
        );
        assert_eq!(
            w.ota_state().1,
            otadata::State::Valid,
            "the server believes in a trial"
        );
    }
}

fn rage(w: &mut World, new: &[u8], storm: Storm) {
    w.break_one_in = one_in(storm.requests_lost);
    w.lose_frame_one_in = one_in(storm.frames_lost);
    w.twice_one_in = one_in(storm.twice);
    w.cut_one_in = one_in(storm.power_cuts);
    for _ in 0..storm.turns {
        let reports = w.server.reports.len();
        w.turn();
        if w.server.reports.len() > reports && w.chance(one_in(storm.late)) {
            keep_a_copy(w);
        }
        if w.chance(one_in(storm.late)) {
            deliver(w);
        }
        let model = w.server.model.as_mut().unwrap();
        if storm.server_deaths > 0 && w.rng.up_to(storm.server_deaths - 1) == 0 {
            model.die();
        } else if w.rng.up_to(9) == 0 {
            model.store();
        }
        check(w, new);
    }
    (
        w.break_one_in,
        w.lose_frame_one_in,
        w.twice_one_in,
        w.cut_one_in,
    ) = (None, None, None, None);
    // What is still on its way arrives, the last report first.
    while deliver(w) {
        check(w, new);
    }
}

/// The network keeps a copy of the report that the board has just made.
fn keep_a_copy(w: &mut World) {
    let (attempt, stage, reason) = w.server.reports.last().cloned().unwrap();
    let running = hex(&w.booted);
    let mut body = String::new();
    Report {
        attempt,
        stage,
        bytes: None,
        patch: false,
        running: Some(running.as_str().into()),
        reason: (!reason.is_empty()).then(|| reason.as_str().into()),
    }
    .write(&mut body)
    .unwrap();
    w.server.model.as_mut().unwrap().late.push(body);
}

/// A copy arrives. It says what ran when it was made: the server takes it for news.
fn deliver(w: &mut World) -> bool {
    let now = w.now;
    let model = w.server.model.as_mut().unwrap();
    let Some(body) = model.late.pop() else {
        return false;
    };
    model.told(now, &body);
    true
}

/// Lets the board say what it has left to say, and ask once more: a late copy of a report may have told the server that an image
/// is on trial which is confirmed by now. Nothing of what was agreed changes any more.
fn settle(w: &mut World) {
    let until = w.now + 900_000;
    w.until("a quarter of an hour later", |w| w.now > until && w.rests());
}

fn summary(w: &World) -> String {
    let model = w.server.model.as_ref().unwrap();
    format!(
        "{:?} {:?} at {}",
        model.update.state(),
        w.server.stages(),
        w.now
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A good image: both say in the end that it is confirmed, and it runs.
    #[test]
    fn a_good_image_is_confirmed_on_both_sides(storm in storm()) {
        let new = firmware("1.1.0", Fault::None);
        let mut w = world(&new, storm, u32::MAX);
        rage(&mut w, &new, storm);
        w.until("both agree that the new image is confirmed", |w| {
            check(w, &new);
            let model = w.server.model.as_ref().unwrap();
            w.rests() && w.booted == sha(&new) && model.update.state() == State::Confirmed
        });
        settle(&mut w);
        let model = w.server.model.as_ref().unwrap();
        prop_assert_eq!(model.update.runs(), Some(Runs::Target), "{}", summary(&w));
        prop_assert_eq!((w.booted, w.ota_state().1), (sha(&new), otadata::State::Valid));
        prop_assert_eq!(model.update.state(), State::Confirmed);
        prop_assert_eq!(model.update.reason(), None);
    }

    /// A bad image: the old one runs, both say so, no attempt is under way, and the server knows that it was the image's fault.
    #[test]
    fn a_bad_image_is_given_up_on_both_sides(storm in storm(), n in 0..FAULTS.len(), attempts in 1..4_u32) {
        let (fault, _) = FAULTS[n];
        let new = firmware("1.1.0", fault);
        let mut w = world(&new, storm, attempts);
        rage(&mut w, &new, storm);
        let old = sha(&firmware("1.0.0", Fault::None));
        w.until("both agree that it is given up", |w| {
            let model = w.server.model.as_ref().unwrap();
            assert!(model.update.state() != State::Confirmed, "{}", summary(w));
            w.rests() && w.booted == old && model.update.next(utc(w.now), attempts) == Next::Exhausted
                && model.update.runs() == Some(Runs::Old)
        });
        settle(&mut w);
        prop_assert_eq!(w.booted, old);
        let model = w.server.model.as_ref().unwrap();
        let state = model.update.state();
        prop_assert!(matches!(state, State::RolledBack | State::Failed), "{}", summary(&w));
        prop_assert_eq!(w.ota_state(), (0, otadata::State::Valid));
    }
}

#[test]
fn in_a_calm_world_the_server_knows_whose_fault_it_was() {
    let calm = Storm {
        seed: 0,
        requests_lost: 0,
        frames_lost: 0,
        twice: 0,
        late: 0,
        power_cuts: 0,
        server_deaths: 0,
        sockets: true,
        patch: false,
        turns: 0,
    };
    for (fault, why) in FAULTS {
        for sockets in [true, false] {
            let new = firmware("1.1.0", fault);
            let mut w = world(&new, Storm { sockets, ..calm }, 1);
            w.until("it is given up", |w| {
                let model = w.server.model.as_ref().unwrap();
                w.rests() && model.update.next(utc(w.now), 1) == Next::Exhausted
            });
            settle(&mut w);
            let model = w.server.model.as_ref().unwrap();
            let ended = (model.update.state(), model.update.reason());
            assert_eq!(ended, (State::RolledBack, Some(why)), "{fault}");
        }
    }
}

#[test]
fn a_storm_in_which_everything_happens_ends_in_agreement() {
    let mut seen = (0, 0, 0);
    for seed in 0..12 {
        let storm = Storm {
            seed,
            requests_lost: 12,
            frames_lost: 6,
            twice: 5,
            late: 3,
            power_cuts: 150,
            server_deaths: 100,
            sockets: seed % 2 == 0,
            patch: seed % 3 == 0,
            turns: 2_000,
        };
        let new = firmware("1.1.0", Fault::None);
        let mut w = world(&new, storm, u32::MAX);
        rage(&mut w, &new, storm);
        w.until("both agree", |w| {
            let model = w.server.model.as_ref().unwrap();
            w.rests() && w.booted == sha(&new) && model.update.state() == State::Confirmed
        });
        let model = w.server.model.as_ref().unwrap();
        seen.0 += w.power_cuts;
        seen.1 += u64::from(model.deaths);
        seen.2 += w.server.reports.len() as u64;
    }
    // The test is worth something only when these things have happened.
    assert!(seen.0 > 50 && seen.1 > 50 && seen.2 > 50, "{seen:?}");
}

#[test]
fn a_board_that_lost_its_power_before_the_restart_gets_the_image_all_the_same() {
    // It has said that the image is written, and starts the old one; after that it is seen more seldom than attempts are apart.
    let storm = Storm {
        seed: 15_613_609_802_855_127_266,
        requests_lost: 3,
        frames_lost: 0,
        twice: 2,
        late: 0,
        power_cuts: 60,
        server_deaths: 0,
        sockets: false,
        patch: false,
        turns: 225,
    };
    let new = firmware("1.1.0", Fault::None);
    let mut w = world(&new, storm, u32::MAX);
    rage(&mut w, &new, storm);
    w.until("both agree that the new image is confirmed", |w| {
        check(w, &new);
        let model = w.server.model.as_ref().unwrap();
        w.rests() && w.booted == sha(&new) && model.update.state() == State::Confirmed
    });
}
