//! Any interleaving of setting, handing over, reporting, reconnecting and restarting, against a model of a
//! device; and the cases that people met, by name.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const NOW: i64 = 1_000;

/// A board with one switch. Its loop has one report on the way at most; the network may lose answers.
#[derive(Debug)]
struct Board {
    speaks_versions: bool,
    value: u8,
    version: u64,
    changed_by_hand: bool,
    on_the_way: Option<(u8, u64)>,
}

impl Board {
    fn take(&mut self, value: &Value, version: u64) {
        if self.speaks_versions && version <= self.version {
            return;
        }
        self.value = u8::try_from(value.as_u64().unwrap()).unwrap();
        self.version = version;
        self.changed_by_hand = false;
    }

    fn sample(&mut self) {
        let answers = self.speaks_versions && !self.changed_by_hand;
        let version = if answers { self.version } else { 0 };
        self.on_the_way = Some((self.value, version));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8),
    Poll,
    PollWithoutAnswer,
    Sample,
    Arrive,
    Button(u8),
    Reconnect,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..3).prop_map(Step::Set),
        3 => Just(Step::Poll),
        1 => Just(Step::PollWithoutAnswer),
        3 => Just(Step::Sample),
        3 => Just(Step::Arrive),
        1 => (0u8..3).prop_map(Step::Button),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Restart),
    ]
}

struct World {
    twin: Twin,
    board: Board,
    /// The board has had the desired value, or answered its version, since it was set.
    obeyed: bool,
}

impl World {
    fn new(speaks_versions: bool) -> Self {
        let board = Board {
            speaks_versions,
            value: 0,
            version: 0,
            changed_by_hand: false,
            on_the_way: None,
        };
        Self {
            twin: Twin::default(),
            board,
            obeyed: false,
        }
    }

    fn look(&mut self) {
        let equal = self.twin.desired == Some(json!(self.board.value));
        let answered = self.board.speaks_versions && self.board.version >= self.twin.version;
        self.obeyed |= equal || (self.twin.version > 0 && answered);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Set(value) => {
                let before = self.twin.version;
                assert!(self.twin.set(json!(value), "app", NOW, None) > before);
                self.obeyed = false;
            }
            Step::Poll => {
                if let Some((value, version)) = self.twin.hand_over(NOW) {
                    self.board.take(&value, version);
                }
            }
            Step::PollWithoutAnswer => {
                let _ = self.twin.hand_over(NOW);
                self.board.on_the_way = None;
            }
            Step::Sample if self.board.on_the_way.is_none() => self.board.sample(),
            Step::Arrive => self.arrive(),
            Step::Button(value) if self.board.on_the_way.is_none() => {
                self.board.value = *value;
                self.board.changed_by_hand = true;
            }
            Step::Reconnect => self.board.on_the_way = None,
            Step::Restart => {
                self.twin.maybe_handed = self.twin.version > self.twin.answered;
                self.twin.handed = false;
            }
            Step::Sample | Step::Button(_) => {}
        }
        self.look();
    }

    fn arrive(&mut self) {
        let Some((value, version)) = self.board.on_the_way.take() else {
            return;
        };
        let before = self.twin.clone();
        let effect = self.twin.report(&json!(value), version, NOW);
        assert_eq!(
            self.twin.reported,
            Some(json!(value)),
            "a report always shows"
        );
        assert_eq!(
            self.twin.desired, before.desired,
            "a report never changes what is desired"
        );
        if effect.closed {
            assert!(before.answered < before.version);
        }
        assert_eq!(before.is_news(&json!(value), version, NOW), effect.changed);
    }

    fn check(&self, before: u64) {
        assert!(self.twin.version >= before, "versions never go back");
        assert!(self.twin.answered <= self.twin.version);
        if self.twin.progress(NOW) == Progress::Done {
            assert!(
                self.obeyed,
                "done, but the board never was what it should be: {self:?}"
            );
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.twin, self.board)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_interleaving_loses_a_command(versions: bool, steps in prop::collection::vec(step(), 0..40), last in 0u8..3) {
        let mut world = World::new(versions);
        for step in &steps {
            let before = world.twin.version;
            world.step(step);
            world.check(before);
        }
        // Whatever happened, a last command and a board that polls and reports close the loop.
        world.step(&Step::Set(last));
        for step in [Step::Arrive, Step::Poll, Step::Sample, Step::Arrive] {
            let before = world.twin.version;
            world.step(&step);
            world.check(before);
        }
        prop_assert_eq!(world.twin.progress(NOW), Progress::Done);
        prop_assert_eq!(world.board.value, last);
        prop_assert!(world.twin.hand_over(NOW).is_none(), "what is done is not handed over again");
    }

    #[test]
    fn any_claimed_version_leaves_room_for_the_next(claims in prop::collection::vec(any::<u64>(), 0..8)) {
        let mut twin = Twin::default();
        for claim in claims {
            twin.report(&json!(1), claim, NOW);
            let before = twin.version;
            prop_assert!(twin.set(json!(0), "app", NOW, None) > before);
            prop_assert!(i64::try_from(twin.version).is_ok());
        }
    }
}

#[test]
fn a_refusal_ends_the_waiting_until_somebody_sets_it_again() {
    let mut twin = Twin::default();
    assert!(
        !twin.refuse(1, "no such switch").changed,
        "nothing was wanted"
    );
    let first = twin.set(json!(900), "ada", 0, Some(1_000));
    assert!(!twin.refuse(first + 1, "too much").changed);
    assert!(twin.refuse(first, "too much").changed && !twin.refuse(first, "too much").changed);
    assert_eq!(
        (twin.progress(10), twin.hand_over(10)),
        (Progress::Refused, None)
    );
    // It neither runs out nor closes by what the switch stays.
    assert!(!twin.expire(2_000));
    assert_eq!(twin.progress(2_000), Progress::Refused);
    assert!(twin.report(&json!(35), 0, 2_000).changed);
    assert_eq!(twin.progress(2_000), Progress::Refused);
    let second = twin.set(json!(70), "ada", 2_000, None);
    assert_eq!(
        (twin.progress(2_000), &twin.refused),
        (Progress::Pending, &None)
    );
    assert!(
        !twin.refuse(first, "too much").changed,
        "of an older version"
    );
    assert!(twin.refuse(second, "too much").changed);
    // A board that takes it after all, for example with newer firmware.
    assert!(twin.report(&json!(70), second, 3_000).closed);
    assert_eq!((twin.progress(3_000), twin.refused), (Progress::Done, None));
}

#[test]
fn a_report_of_the_old_value_does_not_clear_a_pending_one() {
    let mut twin = Twin::default();
    twin.set(json!(1), "app", NOW, None);
    assert!(!twin.report(&json!(0), 0, NOW).closed);
    assert_eq!(twin.progress(NOW), Progress::Pending);
    assert_eq!(twin.hand_over(NOW), Some((json!(1), 1)));
    assert!(twin.report(&json!(1), 0, NOW).closed);
    assert_eq!(twin.progress(NOW), Progress::Done);
}

#[test]
fn after_done_a_change_at_the_device_stands() {
    let mut twin = Twin::default();
    twin.set(json!(1), "app", NOW, None);
    twin.report(&json!(1), 1, NOW);
    twin.report(&json!(0), 0, NOW);
    assert_eq!(twin.progress(NOW), Progress::Done);
    assert_eq!((twin.hand_over(NOW), twin.reported), (None, Some(json!(0))));
}

#[test]
fn an_answer_to_an_older_version_keeps_the_newer_pending() {
    let mut twin = Twin::default();
    twin.set(json!(1), "app", NOW, None);
    twin.set(json!(0), "app", NOW, None);
    twin.report(&json!(1), 1, NOW);
    assert_eq!(twin.hand_over(NOW), Some((json!(0), 2)));
}

#[test]
fn a_value_that_the_device_bounds_is_answered_by_its_version() {
    let mut twin = Twin::default();
    let version = twin.set(json!(150), "app", NOW, None);
    assert!(twin.report(&json!(100), version, NOW).closed);
}

#[test]
fn after_a_restored_backup_a_wanted_value_goes_past_what_the_device_remembers() {
    let mut twin = Twin::default();
    twin.set(json!(1), "app", NOW, None);
    assert!(!twin.report(&json!(0), 10, NOW).closed);
    assert_eq!(twin.hand_over(NOW), Some((json!(1), 11)));
    assert!(twin.report(&json!(1), 11, NOW).closed);
}

#[test]
fn an_expired_value_is_not_handed_over_and_is_told_once() {
    let mut twin = Twin::default();
    twin.set(json!(1), "app", NOW, Some(NOW + 10));
    assert!(!twin.expire(NOW + 9));
    assert!(twin.hand_over(NOW + 10).is_none());
    assert!(twin.expire(NOW + 10));
    assert!(!twin.expire(NOW + 11));
    assert_eq!(twin.progress(NOW + 11), Progress::Expired);
    twin.set(json!(1), "app", NOW + 12, None);
    assert_eq!(twin.progress(NOW + 12), Progress::Pending);
}

#[test]
fn values_that_mean_the_same_close_the_loop() {
    assert!(same(&json!(true), &json!(1)) && same(&json!(1.0), &json!(1)));
    assert!(same(&json!(21.7), &json!(21.700_000_762_939_453)));
    assert!(!same(&json!(21.7), &json!(21.8)) && !same(&json!("1"), &json!(1)));
    assert!(!same(&json!(0), &json!(false.to_string())));
}
