//! Tests of rollouts: lines and waves, commands, steps.

use super::rollout::*;
use crate::{DeviceId, RolloutId};
use proptest::prelude::*;
use uuid::Uuid;

fn device(n: u128) -> DeviceId {
    DeviceId(Uuid::from_u128(n))
}

fn rollout(n: u128) -> RolloutId {
    RolloutId(Uuid::from_u128(n))
}

fn plan() -> Plan {
    Plan {
        waves: vec![Wave::Percent(10), Wave::Percent(100)],
        success_percent: 90,
        limit: Limit::default(),
        patience_s: 1000,
        soak_s: 60,
        ..Plan::default()
    }
}

fn all(members: u32) -> Counts {
    Counts {
        members,
        waiting: members,
        ..Counts::default()
    }
}

fn decide(plan: &Plan, open: usize, reached_at: Option<i64>, waves: &[Counts], now: i64) -> Step {
    step(
        plan,
        &Progress {
            open,
            opened_at: 0,
            reached_at,
            waves,
        },
        now,
    )
}

#[test]
fn a_line_is_even_and_each_rollout_has_its_own() {
    let (a, b) = (Ranker::new(rollout(1)), Ranker::new(rollout(2)));
    let early = |ranker: Ranker| {
        (0..10_000)
            .filter(|n| ranker.rank(device(*n)) < u64::MAX / 10)
            .count()
    };
    assert!((900..1100).contains(&early(a)), "{}", early(a));
    assert!((900..1100).contains(&early(b)));
    let both = (0..10_000)
        .filter(|n| [a, b].iter().all(|r| r.rank(device(*n)) < u64::MAX / 10))
        .count();
    assert!((60..140).contains(&both), "{both}");
    let mut delays: Vec<i64> = (0..1000).map(|n| a.delay_ms(device(n), 100)).collect();
    delays.sort_unstable();
    assert!(delays[0] >= 0 && delays[999] <= 100_000 && (40_000..60_000).contains(&delays[500]));
    assert_eq!(a.delay_ms(device(1), 0), 0);
}

#[test]
fn waves_count_what_they_say_and_later_devices_find_theirs() {
    let waves = [
        Wave::Group("canary".to_owned()),
        Wave::Count(7),
        Wave::Percent(10),
        Wave::Percent(100),
    ];
    let ranker = Ranker::new(rollout(1));
    let mut ranks: Vec<u64> = (0..1000).map(|n| ranker.rank(device(n))).collect();
    let cuts = cut_offs(&waves, &mut ranks);
    let wave = |n: u128| {
        wave_of(&waves, &cuts, ranker.rank(device(n)), |group| {
            group == "canary" && n == 3
        })
    };
    let count = |w: usize| (0..1000).filter(|n| wave(*n) == Some(w)).count();
    assert_eq!(wave(3), Some(0));
    let canary_was_early = usize::from(ranker.rank(device(3)) <= ranks[99]);
    assert_eq!(count(1) + count(2) + canary_was_early, 100);
    assert!((6..=7).contains(&count(1)));
    assert_eq!((0..4).map(count).sum::<usize>(), 1000);
    // Of a thousand that come later, about as many are early.
    let late = (1000..2000)
        .filter(|n| wave(*n).is_some_and(|w| w < 3))
        .count();
    assert!((60..150).contains(&late), "{late}");
    assert_eq!(
        cut_offs(&waves, &mut []),
        [None, Some(0), Some(0), Some(u64::MAX)]
    );
}

#[test]
fn commands_are_obeyed_or_refused_with_a_sentence() {
    let plain = Plan {
        approval: false,
        ..plan()
    };
    let careful = Plan {
        approval: true,
        ..plan()
    };
    let later = Plan {
        start_at: Some(100),
        ..plan()
    };
    assert_eq!(
        obey(State::Draft, Command::Start, &plain, 0),
        Ok(State::Running)
    );
    assert_eq!(
        obey(State::Draft, Command::Start, &later, 0),
        Ok(State::Scheduled)
    );
    assert_eq!(
        obey(State::Draft, Command::Start, &later, 100),
        Ok(State::Running)
    );
    assert_eq!(
        obey(State::Draft, Command::Start, &careful, 0),
        Ok(State::AwaitingApproval)
    );
    let code = |state, command| obey(state, command, &careful, 0).map_err(|refusal| refusal.code);
    assert_eq!(
        code(State::AwaitingApproval, Command::Approve { second: false }),
        Err("own_rollout")
    );
    assert_eq!(
        code(State::AwaitingApproval, Command::Approve { second: true }),
        Ok(State::Running)
    );
    assert_eq!(code(State::Running, Command::Pause), Ok(State::Paused));
    assert_eq!(code(State::Halted, Command::Pause), Err("not_running"));
    assert_eq!(code(State::Halted, Command::Resume), Ok(State::Running));
    assert_eq!(code(State::Finished, Command::Resume), Err("not_paused"));
    assert_eq!(code(State::Draft, Command::Abort), Err("not_started"));
    assert_eq!(
        code(State::Halted, Command::RollBack),
        Ok(State::RollingBack)
    );
    assert_eq!(
        code(State::RolledBack, Command::RollBack),
        Err("rolled_back")
    );
    assert_eq!(
        code(State::Scheduled, Command::RollBack),
        Err("not_started")
    );
    for state in State::ALL {
        assert_eq!(State::named(state.as_str()), Some(state));
    }
}

#[test]
fn a_wave_opens_when_enough_of_the_one_before_succeeded_and_rested() {
    let mut waves = [all(10), all(90)];
    assert_eq!(decide(&plan(), 0, None, &waves, 0), Step::Open);
    assert_eq!(
        decide(&plan(), 1, None, &waves, 0),
        Step::Wait(Some(1_000_000))
    );
    waves[0] = Counts {
        waiting: 2,
        succeeded: 8,
        ..waves[0]
    };
    assert_eq!(
        decide(&plan(), 1, None, &waves, 5),
        Step::Wait(Some(1_000_000))
    );
    waves[0] = Counts {
        waiting: 1,
        succeeded: 9,
        ..waves[0]
    };
    assert_eq!(decide(&plan(), 1, None, &waves, 5), Step::Reached);
    assert_eq!(
        decide(&plan(), 1, Some(5), &waves, 5),
        Step::Wait(Some(60_005))
    );
    assert_eq!(decide(&plan(), 1, Some(5), &waves, 60_005), Step::Open);
    // Who is silent for long does not hold up the others; a wave of which nobody was heard does.
    waves[0] = Counts {
        waiting: 5,
        succeeded: 5,
        ..waves[0]
    };
    assert_eq!(
        decide(&plan(), 1, None, &waves, 999_999),
        Step::Wait(Some(1_000_000))
    );
    assert_eq!(decide(&plan(), 1, None, &waves, 1_000_000), Step::Reached);
    waves[0] = all(10);
    assert_eq!(
        decide(&plan(), 1, None, &waves, 1_000_000),
        Step::Wait(None)
    );
    // A wave without devices is no hurdle.
    waves[0] = all(0);
    assert_eq!(decide(&plan(), 1, None, &waves, 0), Step::Reached);
}

#[test]
fn limits_halt_it_and_forgiveness_counts() {
    let failed = |n| Counts {
        waiting: 10 - n,
        failed: n,
        ..all(10)
    };
    let with = |wave_limit, limit| Plan {
        wave_limit,
        limit,
        ..plan()
    };
    let count = |n| Limit {
        count: Some(n),
        percent: None,
    };
    let percent = |n| Limit {
        count: None,
        percent: Some(n),
    };
    let none = Limit::default();
    let told = |plan: &Plan, n| match decide(plan, 1, None, &[failed(n), all(90)], 0) {
        Step::Halt(halt) => format!("{}: {halt}", halt.code()),
        other => format!("{other:?}"),
    };
    assert_eq!(
        told(&with(count(2), none), 2),
        "wave_failures: 2 devices of wave 1 failed, which is its limit."
    );
    assert!(told(&with(count(2), none), 1).starts_with("Wait"));
    assert_eq!(
        told(&with(none, count(2)), 2),
        "failures: 2 devices failed, which is the limit."
    );
    assert_eq!(
        told(&with(none, percent(10)), 2),
        "failure_percent: 2 of 10 devices failed, more than the limit."
    );
    assert!(told(&with(none, percent(10)), 1).starts_with("Wait"));
    assert!(told(&with(percent(10), none), 2).starts_with("wave_failure_percent"));
    assert!(told(&with(none, percent(0)), 1).starts_with("failure_percent"));
    assert!(told(&with(none, percent(0)), 0).starts_with("Wait"));
    let forgiven = [
        Counts {
            forgiven: 2,
            ..failed(2)
        },
        all(90),
    ];
    assert!(matches!(
        decide(&with(none, count(2)), 1, None, &forgiven, 0),
        Step::Wait(_)
    ));
}

#[test]
fn it_finishes_when_nothing_more_is_expected() {
    let done = [
        Counts {
            waiting: 0,
            succeeded: 10,
            ..all(10)
        },
        Counts {
            waiting: 0,
            succeeded: 80,
            failed: 10,
            ..all(90)
        },
    ];
    assert_eq!(decide(&plan(), 2, None, &done, 0), Step::Finish);
    let retried = [
        done[0],
        Counts {
            retried: 1,
            ..done[1]
        },
    ];
    assert_eq!(
        decide(&plan(), 2, None, &retried, 0),
        Step::Wait(Some(1_000_000))
    );
    let silent = [
        done[0],
        Counts {
            waiting: 30,
            succeeded: 60,
            ..all(90)
        },
    ];
    assert_eq!(
        decide(&plan(), 2, None, &silent, 999_999),
        Step::Wait(Some(1_000_000))
    );
    assert_eq!(decide(&plan(), 2, None, &silent, 1_000_000), Step::Finish);
    let too_few = [
        Counts {
            waiting: 0,
            succeeded: 8,
            failed: 2,
            ..all(10)
        },
        all(90),
    ];
    let Step::Halt(halt) = decide(&plan(), 1, None, &too_few, 0) else {
        panic!("it went on")
    };
    assert_eq!(halt.code(), "too_few_succeeded");
}

#[test]
fn wrong_plans_are_refused() {
    let wrong: [Plan; 9] = [
        Plan {
            waves: vec![],
            ..plan()
        },
        Plan {
            waves: vec![Wave::Percent(50), Wave::Percent(50)],
            ..plan()
        },
        Plan {
            waves: vec![Wave::Count(0)],
            ..plan()
        },
        Plan {
            waves: vec![Wave::Percent(101)],
            ..plan()
        },
        Plan {
            success_percent: 101,
            ..plan()
        },
        Plan {
            limit: Limit {
                count: Some(0),
                percent: None,
            },
            ..plan()
        },
        Plan {
            soak_s: MAX_SECONDS + 1,
            ..plan()
        },
        Plan {
            max_attempts: 0,
            ..plan()
        },
        Plan {
            confirm_within_s: 1,
            ..plan()
        },
    ];
    for plan in wrong {
        assert!(plan.check().is_err(), "{plan:?}");
    }
    assert_eq!(plan().check(), Ok(()));
    assert_eq!(Plan::default().check(), Ok(()));
    let json = serde_json::to_string(&Plan::default()).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Plan>(&json).expect("a plan"),
        Plan::default()
    );
}

proptest! {
    /// However the counts are: no wave opens while a limit is exceeded, and asking never panics.
    #[test]
    fn no_wave_opens_over_a_limit(
        members in 0u32..50, waiting in 0u32..50, succeeded in 0u32..50, failed in 0u32..50, limit in 1u32..10,
        percent in 0u8..=100, now in 0i64..2_000_000, reached: bool, open in 0usize..3,
    ) {
        let counts = Counts { members, waiting: waiting.min(members), succeeded, failed, ..Counts::default() };
        let plan = Plan { limit: Limit { count: Some(limit), percent: Some(percent) }, ..plan() };
        let step = decide(&plan, open, reached.then_some(0), &[counts, counts], now);
        let all_failed = failed * u32::try_from(open).unwrap_or(0);
        if all_failed >= limit {
            prop_assert!(matches!(step, Step::Halt(_)));
        }
    }
}
