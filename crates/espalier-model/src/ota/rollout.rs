//! A rollout: a release on its way to devices in waves, with limits that stop it.
//!
//! A device's place in line is a hash of the rollout's id and its own ([`Ranker`]), so that a wave is one number, its
//! cut-off, and no row per device is needed. [`step`] decides what happens next from counts alone.

use super::health::Health;
use super::window::Window;
use crate::{DeviceId, RolloutId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Waves of one plan.
pub const MAX_WAVES: usize = 20;
/// Windows of one plan.
pub const MAX_WINDOWS: usize = 20;
/// The longest time that a plan may name, seconds (30 days).
pub const MAX_SECONDS: u32 = 30 * 24 * 3600;
/// Attempts that a plan may allow per device.
pub const MAX_ATTEMPTS: u32 = 10;

/// One wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wave {
    /// So many percent of all devices that are meant, the waves before counted in.
    Percent(u8),
    /// So many devices, the waves before counted in.
    Count(u32),
    /// The devices of a group, as far as they are meant.
    Group(String),
}

/// When failures stop the rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// As soon as so many devices have failed.
    pub count: Option<u32>,
    /// As soon as more than this share of the devices has failed.
    pub percent: Option<u8>,
}

/// How a release reaches its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// The waves, the first one first.
    pub waves: Vec<Wave>,
    /// Percent of a wave that must succeed before the next one opens.
    pub success_percent: u8,
    /// When failures within one wave stop it.
    pub wave_limit: Limit,
    /// When failures in all waves together stop it.
    pub limit: Limit,
    /// What a device must show after it confirmed.
    pub health: Health,
    /// Seconds between a wave's success and the next wave.
    pub soak_s: u32,
    /// Seconds after which devices that were never heard of no longer hold up the next wave.
    pub patience_s: u32,
    /// When it begins, milliseconds UTC; absent: when it is started.
    pub start_at: Option<i64>,
    /// When updates may begin, in each device's own time; none: always.
    pub windows: Vec<Window>,
    /// The time zone of devices that have none of their own.
    pub time_zone: String,
    /// Each device waits up to so many seconds after its wave opens.
    pub random_delay_s: u32,
    /// Devices that may fetch at once; 0: all.
    pub downloads: u32,
    /// Attempts per device.
    pub max_attempts: u32,
    /// Seconds that an image has, after its first boot, to confirm itself.
    pub confirm_within_s: u32,
    /// A second person must approve it.
    pub approval: bool,
    /// Devices that are created after the start take part, also after it has finished.
    pub new_devices: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            waves: vec![Wave::Percent(5), Wave::Percent(25), Wave::Percent(100)],
            success_percent: 95,
            wave_limit: Limit::default(),
            limit: Limit {
                count: None,
                percent: Some(5),
            },
            health: Health::default(),
            soak_s: 0,
            patience_s: 24 * 3600,
            start_at: None,
            windows: Vec::new(),
            time_zone: "UTC".to_owned(),
            random_delay_s: 0,
            downloads: 0,
            max_attempts: 3,
            confirm_within_s: 300,
            approval: false,
            new_devices: true,
        }
    }
}

impl Plan {
    /// Checks a plan that somebody wants to save, but for its time zone.
    ///
    /// # Errors
    /// The field, and one sentence that says what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        check_waves(&self.waves).map_err(|why| ("waves", why))?;
        let percents = [
            ("success_percent", Some(self.success_percent)),
            ("wave_limit", self.wave_limit.percent),
            ("limit", self.limit.percent),
            ("health", self.health.max_heap_loss_percent),
        ];
        for (field, percent) in percents {
            if percent.is_some_and(|p| p > 100) {
                return Err((field, "a share is 0 to 100 percent".to_owned()));
            }
        }
        if [self.limit.count, self.wave_limit.count].contains(&Some(0)) {
            return Err((
                "limit",
                "a limit is at least 1 device; leave it out for none".to_owned(),
            ));
        }
        let seconds = [
            ("soak_s", self.soak_s),
            ("patience_s", self.patience_s),
            ("random_delay_s", self.random_delay_s),
            ("health", self.health.window_s),
            ("health", self.health.silence_s),
        ];
        for (field, value) in seconds {
            if value > MAX_SECONDS {
                return Err((
                    field,
                    format!("must be at most {MAX_SECONDS} seconds (30 days)"),
                ));
            }
        }
        if !(1..=MAX_ATTEMPTS).contains(&self.max_attempts) {
            return Err(("max_attempts", format!("must be 1 to {MAX_ATTEMPTS}")));
        }
        if !(10..=24 * 3600).contains(&self.confirm_within_s) {
            return Err(("confirm_within_s", "must be 10 to 86400 seconds".to_owned()));
        }
        if self.windows.len() > MAX_WINDOWS {
            return Err((
                "windows",
                format!("a plan has at most {MAX_WINDOWS} windows"),
            ));
        }
        self.windows
            .iter()
            .try_for_each(Window::check)
            .map_err(|why| ("windows", why))
    }
}

fn check_waves(waves: &[Wave]) -> Result<(), String> {
    if waves.is_empty() || waves.len() > MAX_WAVES {
        return Err(format!("a plan has 1 to {MAX_WAVES} waves"));
    }
    let (mut percent, mut count) = (0, 0);
    for wave in waves {
        match wave {
            Wave::Percent(p) if *p == 0 || *p > 100 => {
                return Err("a wave is 1 to 100 percent".to_owned());
            }
            Wave::Percent(p) if *p <= percent => {
                return Err(
                    "each wave in percent must be larger than the ones before: it counts them in"
                        .to_owned(),
                );
            }
            Wave::Percent(p) => percent = *p,
            Wave::Count(0) => return Err("a wave has at least 1 device".to_owned()),
            Wave::Count(c) if *c <= count => {
                return Err(
                    "each wave by count must be larger than the ones before: it counts them in"
                        .to_owned(),
                );
            }
            Wave::Count(c) => count = *c,
            Wave::Group(name) if name.is_empty() || name.len() > 100 => {
                return Err("a group's name has 1 to 100 bytes".to_owned());
            }
            Wave::Group(_) => {}
        }
    }
    Ok(())
}

/// Gives every device its place in a rollout's line.
#[derive(Debug, Clone, Copy)]
pub struct Ranker(u64);

fn mix(x: u64) -> u64 {
    // The finaliser of SplitMix64: every bit of the input moves every bit of the output.
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

impl Ranker {
    /// The line of this rollout.
    pub fn new(rollout: RolloutId) -> Self {
        let (high, low) = rollout.0.as_u64_pair();
        Self(mix(mix(high) ^ low))
    }

    /// A device's place.
    pub fn rank(self, device: DeviceId) -> u64 {
        let (high, low) = device.0.as_u64_pair();
        mix(mix(self.0 ^ high) ^ low)
    }

    /// How long a device waits after its wave opened, milliseconds.
    pub fn delay_ms(self, device: DeviceId, random_delay_s: u32) -> i64 {
        // Mixed once more: who is early in line must not be early in everything.
        let spread = u64::from(random_delay_s) * 1000 + 1;
        i64::try_from(mix(self.rank(device) ^ 0x5EED) % spread).unwrap_or(0)
    }
}

/// Up to which place each wave goes; `None` for a wave that is a group. `ranks` are those of all devices that are
/// meant, in any order; they are sorted.
pub fn cut_offs(waves: &[Wave], ranks: &mut [u64]) -> Vec<Option<u64>> {
    ranks.sort_unstable();
    let total = ranks.len();
    let up_to = |count: usize| match count {
        0 => 0,
        n => ranks.get(n - 1).copied().unwrap_or(u64::MAX),
    };
    let cut = |wave: &Wave| match wave {
        Wave::Percent(100) => Some(u64::MAX),
        Wave::Percent(p) => Some(up_to((total * usize::from(*p)).div_ceil(100))),
        Wave::Count(c) => Some(up_to(usize::try_from(*c).unwrap_or(usize::MAX).min(total))),
        Wave::Group(_) => None,
    };
    waves.iter().map(cut).collect()
}

/// The first wave that a device is in.
pub fn wave_of(
    waves: &[Wave],
    cut_offs: &[Option<u64>],
    rank: u64,
    in_group: impl Fn(&str) -> bool,
) -> Option<usize> {
    waves
        .iter()
        .zip(cut_offs)
        .position(|(wave, cut)| match wave {
            Wave::Group(name) => in_group(name),
            _ => cut.is_some_and(|cut| rank <= cut),
        })
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is being planned.
    Draft,
    /// It waits for a second person.
    AwaitingApproval,
    /// It waits for its moment.
    Scheduled,
    /// It goes on.
    Running,
    /// A person stopped it for now.
    Paused,
    /// It stopped by itself.
    Halted,
    /// It is done.
    Finished,
    /// A person ended it.
    Aborted,
    /// Its devices return to what they ran before.
    RollingBack,
    /// They have returned.
    RolledBack,
}

impl State {
    /// Every state.
    pub const ALL: [State; 10] = [
        State::Draft,
        State::AwaitingApproval,
        State::Scheduled,
        State::Running,
        State::Paused,
        State::Halted,
        State::Finished,
        State::Aborted,
        State::RollingBack,
        State::RolledBack,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Draft => "draft",
            State::AwaitingApproval => "awaiting_approval",
            State::Scheduled => "scheduled",
            State::Running => "running",
            State::Paused => "paused",
            State::Halted => "halted",
            State::Finished => "finished",
            State::Aborted => "aborted",
            State::RollingBack => "rolling_back",
            State::RolledBack => "rolled_back",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Tells whether everything about it may still be changed.
    pub fn is_planned(self) -> bool {
        matches!(
            self,
            State::Draft | State::AwaitingApproval | State::Scheduled
        )
    }

    /// Tells whether it is over and can be deleted.
    pub fn is_over(self) -> bool {
        matches!(self, State::Finished | State::Aborted | State::RolledBack)
    }
}

/// What a person wants of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Begin it, or ask for approval.
    Start,
    /// Let it begin; `second` says that another person asked for it.
    Approve {
        /// Somebody else than who created and started it.
        second: bool,
    },
    /// Offer nothing new for now.
    Pause,
    /// Go on, also after it stopped by itself.
    Resume,
    /// End it; boards that have not written the image keep what they run.
    Abort,
    /// Return every board that took it to what it ran before.
    RollBack,
}

/// Why a command was not obeyed: a stable word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The word.
    pub code: &'static str,
    /// The sentence.
    pub sentence: String,
}

fn refuse(code: &'static str, sentence: impl Into<String>) -> Refusal {
    Refusal {
        code,
        sentence: sentence.into(),
    }
}

/// The state that a command leads to.
///
/// # Errors
/// Says why it cannot be obeyed and what to do instead.
pub fn obey(state: State, command: Command, plan: &Plan, now: i64) -> Result<State, Refusal> {
    let begin = || match plan.start_at {
        Some(at) if at > now => State::Scheduled,
        _ => State::Running,
    };
    match (command, state) {
        (Command::Start, State::Draft) if plan.approval => Ok(State::AwaitingApproval),
        (Command::Start, State::Draft) => Ok(begin()),
        (Command::Start, State::AwaitingApproval) => Err(refuse(
            "needs_approval",
            "This rollout needs the approval of a second person.",
        )),
        (Command::Start, _) => Err(refuse(
            "already_started",
            "This rollout was started already.",
        )),
        (Command::Approve { second: false }, State::AwaitingApproval) => Err(refuse(
            "own_rollout",
            "Who created or started a rollout cannot approve it; ask a second person.",
        )),
        (Command::Approve { .. }, State::AwaitingApproval) => Ok(begin()),
        (Command::Approve { .. }, _) => Err(refuse(
            "not_waiting",
            "This rollout does not wait for approval.",
        )),
        (Command::Pause, State::Running | State::Scheduled) => Ok(State::Paused),
        (Command::Pause, _) => Err(refuse(
            "not_running",
            "Only a rollout that runs or is scheduled can be paused.",
        )),
        (Command::Resume, State::Paused | State::Halted) => Ok(begin()),
        (Command::Resume, _) => Err(refuse(
            "not_paused",
            "Only a rollout that is paused or has halted can be resumed.",
        )),
        (
            Command::Abort,
            State::AwaitingApproval
            | State::Scheduled
            | State::Running
            | State::Paused
            | State::Halted,
        ) => Ok(State::Aborted),
        // A finished rollout may still serve new devices; aborting it ends that.
        (Command::Abort, State::Finished) if plan.new_devices => Ok(State::Aborted),
        (Command::Abort, State::Draft) => Err(refuse(
            "not_started",
            "This rollout was not started; delete it instead.",
        )),
        (Command::Abort, _) => Err(refuse("is_over", "This rollout is over already.")),
        (
            Command::RollBack,
            State::Running | State::Paused | State::Halted | State::Finished | State::Aborted,
        ) => Ok(State::RollingBack),
        (Command::RollBack, State::RollingBack | State::RolledBack) => Err(refuse(
            "rolled_back",
            "This rollout is rolled back already.",
        )),
        (Command::RollBack, _) => Err(refuse(
            "not_started",
            "This rollout has not reached any device; there is nothing to roll back.",
        )),
    }
}

/// The devices of one wave, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Devices that it is meant for and that need it.
    pub members: u32,
    /// Those that were offered nothing yet.
    pub waiting: u32,
    /// Those on their way: offered, downloading, written, on trial.
    pub under_way: u32,
    /// Those that confirmed and are watched.
    pub watched: u32,
    /// Those that confirmed and were well.
    pub succeeded: u32,
    /// Those that failed, rolled back or were not well.
    pub failed: u32,
    /// Those of the failed that are tried again.
    pub retried: u32,
    /// Those that are not wanted any more.
    pub cancelled: u32,
    /// Failures that a person has forgiven by resuming.
    pub forgiven: u32,
}

impl Counts {
    fn held_against(&self) -> u32 {
        self.failed.saturating_sub(self.forgiven)
    }

    /// Devices of which nothing more is expected.
    pub fn ended(&self) -> u32 {
        (self.succeeded + self.failed + self.cancelled).saturating_sub(self.retried)
    }

    fn all_ended(&self) -> bool {
        self.ended() >= self.members
    }
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Waves that are open.
    pub open: usize,
    /// When the newest of them opened, milliseconds UTC.
    pub opened_at: i64,
    /// When it had succeeded, milliseconds UTC.
    pub reached_at: Option<i64>,
    /// All waves.
    pub waves: &'a [Counts],
}

/// Why a rollout stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// Too many failures in a wave, as a number.
    WaveCount {
        /// The wave, from 1.
        wave: usize,
        /// Failures.
        failed: u32,
    },
    /// Too many failures in a wave, as a share.
    WavePercent {
        /// The wave, from 1.
        wave: usize,
        /// Failures.
        failed: u32,
        /// Devices.
        of: u32,
    },
    /// Too many failures, as a number.
    Count {
        /// Failures.
        failed: u32,
    },
    /// Too many failures, as a share.
    Percent {
        /// Failures.
        failed: u32,
        /// Devices.
        of: u32,
    },
    /// A wave ended below its threshold.
    TooFew {
        /// The wave, from 1.
        wave: usize,
        /// Devices that succeeded.
        succeeded: u32,
        /// Devices.
        of: u32,
    },
}

impl Halt {
    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Halt::WaveCount { .. } => "wave_failures",
            Halt::WavePercent { .. } => "wave_failure_percent",
            Halt::Count { .. } => "failures",
            Halt::Percent { .. } => "failure_percent",
            Halt::TooFew { .. } => "too_few_succeeded",
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::WaveCount { wave, failed } => {
                write!(
                    f,
                    "{failed} devices of wave {wave} failed, which is its limit."
                )
            }
            Halt::WavePercent { wave, failed, of } => {
                write!(
                    f,
                    "{failed} of {of} devices of wave {wave} failed, more than its limit."
                )
            }
            Halt::Count { failed } => write!(f, "{failed} devices failed, which is the limit."),
            Halt::Percent { failed, of } => {
                write!(f, "{failed} of {of} devices failed, more than the limit.")
            }
            Halt::TooFew {
                wave,
                succeeded,
                of,
            } => write!(
                f,
                "Wave {wave} has ended and only {succeeded} of {of} devices succeeded, too few for the next wave."
            ),
        }
    }
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next wave opens.
    Open,
    /// The newest wave has succeeded; note the moment and ask again.
    Reached,
    /// It stops.
    Halt(Halt),
    /// It is done.
    Finish,
    /// Nothing before that moment, milliseconds UTC, or before something happens.
    Wait(Option<i64>),
}

fn share_exceeds(part: u32, of: u32, percent: u8) -> bool {
    u64::from(part) * 100 > u64::from(of) * u64::from(percent)
}

fn halt(plan: &Plan, waves: &[Counts]) -> Option<Halt> {
    let (mut failed, mut of) = (0, 0);
    for (place, counts) in waves.iter().enumerate() {
        let (wave, own) = (place + 1, counts.held_against());
        failed += own;
        of += counts.members;
        if own == 0 {
            continue;
        }
        if plan.wave_limit.count.is_some_and(|limit| own >= limit) {
            return Some(Halt::WaveCount { wave, failed: own });
        }
        if plan
            .wave_limit
            .percent
            .is_some_and(|limit| share_exceeds(own, counts.members, limit))
        {
            return Some(Halt::WavePercent {
                wave,
                failed: own,
                of: counts.members,
            });
        }
    }
    if failed == 0 {
        return None;
    }
    if plan.limit.count.is_some_and(|limit| failed >= limit) {
        return Some(Halt::Count { failed });
    }
    plan.limit
        .percent
        .is_some_and(|limit| share_exceeds(failed, of, limit))
        .then_some(Halt::Percent { failed, of })
}

/// What happens next to a rollout that runs.
pub fn step(plan: &Plan, progress: &Progress<'_>, now: i64) -> Step {
    let open = progress.open.min(progress.waves.len());
    let waves = &progress.waves[..open];
    if let Some(halt) = halt(plan, waves) {
        return Step::Halt(halt);
    }
    let Some(newest) = waves.last() else {
        return Step::Open;
    };
    let last = open == progress.waves.len();
    let patience = progress
        .opened_at
        .saturating_add(i64::from(plan.patience_s) * 1000);
    let heard = now >= patience && newest.waiting < newest.members;
    let counted = if heard {
        newest.members - newest.waiting
    } else {
        newest.members
    };
    let enough =
        u64::from(newest.succeeded) * 100 >= u64::from(counted) * u64::from(plan.success_percent);
    if last {
        let quiet = |counts: &Counts| counts.ended() + counts.waiting >= counts.members;
        let done =
            waves.iter().all(Counts::all_ended) || (now >= patience && waves.iter().all(quiet));
        return match done {
            true => Step::Finish,
            false => Step::Wait((now < patience).then_some(patience)),
        };
    }
    if let Some(at) = progress.reached_at {
        let at = at.saturating_add(i64::from(plan.soak_s) * 1000);
        return if now >= at {
            Step::Open
        } else {
            Step::Wait(Some(at))
        };
    }
    if enough {
        return Step::Reached;
    }
    if newest.all_ended() {
        return Step::Halt(Halt::TooFew {
            wave: open,
            succeeded: newest.succeeded,
            of: newest.members,
        });
    }
    Step::Wait((now < patience).then_some(patience))
}
