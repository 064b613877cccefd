//! Rollouts and updates as they are on the wire.

use super::memory::{HEALTHY, Rollout, Row, Standing, Track, Way};
use super::{engine, undo};
use crate::AppState;
use crate::clock::iso;
use crate::devices::Device;
use crate::error::{ApiError, ApiResult};
use espalier_model::ota::health::Health;
use espalier_model::ota::rollout::{Counts, Limit, Plan, Wave};
use espalier_model::ota::target::Target;
use espalier_model::ota::update::{Next, State};
use espalier_model::ota::window::{Weekday, Window};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// One wave of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaveBody {
    /// So many percent of all devices that are meant, the waves before counted in.
    Percent(u8),
    /// So many devices, the waves before counted in.
    Count(u32),
    /// The devices of a group, as far as they are meant.
    Group(String),
}

/// When failures stop a rollout; a failure is a device that came back to its old image, is not well on the new one, or
/// failed in all its attempts.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitBody {
    /// As soon as so many devices have failed.
    pub count: Option<u32>,
    /// As soon as more than this share of the devices has failed, percent.
    pub percent: Option<u8>,
}

/// What a device must show after it confirmed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthBody {
    /// Seconds after the confirmation in which it is watched; 0: it is not. 600 when absent.
    pub window_s: u32,
    /// Seconds that it may be silent meanwhile; 0: as long as it likes.
    pub silence_s: u32,
    /// The least free heap, bytes.
    pub min_heap: Option<u32>,
    /// By how many percent its free heap may shrink meanwhile.
    pub max_heap_loss_percent: Option<u8>,
    /// It must report telemetry meanwhile.
    pub telemetry: bool,
}

/// When updates may begin, in each device's own time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowBody {
    /// The days on which it begins, `mon` to `sun`; none: every day.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub weekdays: Vec<Weekday>,
    /// When it begins, `HH:MM`.
    pub from: String,
    /// When it ends, `HH:MM`, up to `24:00`; before `from` means on the next day.
    pub to: String,
}

/// How a release reaches its devices. What is left out is as in the defaults of a new plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanBody {
    /// The waves, the first one first. 5, 25 and 100 percent when absent.
    pub waves: Vec<WaveBody>,
    /// Percent of a wave that must succeed before the next one opens. 95 when absent.
    pub success_percent: u8,
    /// When failures within one wave stop the rollout.
    pub wave_limit: LimitBody,
    /// When failures in all waves together stop it. More than 5 percent when absent.
    pub limit: LimitBody,
    /// What a device must show after it confirmed.
    pub health: HealthBody,
    /// Seconds between a wave's success and the next wave.
    pub soak_s: u32,
    /// Seconds after which devices that were never heard of no longer hold up the next wave. A day when absent.
    pub patience_s: u32,
    /// When it begins; absent: when it is started.
    pub start_at: Option<String>,
    /// When updates may begin; none: always.
    pub windows: Vec<WindowBody>,
    /// The time zone of devices that have none of their own, e.g. `Europe/Berlin`. UTC when absent.
    pub time_zone: String,
    /// Each device waits up to so many seconds after its wave opens.
    pub random_delay_s: u32,
    /// Devices that may fetch at once; 0: all.
    pub downloads: u32,
    /// Attempts per device, 1 to 10. 3 when absent.
    pub max_attempts: u32,
    /// Seconds that an image has, after its first boot, to confirm itself. 300 when absent.
    pub confirm_within_s: u32,
    /// A second person must approve it.
    pub approval: bool,
    /// Devices that are created after the start take part, also after it has finished. True when absent.
    pub new_devices: bool,
}

impl Default for HealthBody {
    fn default() -> Self {
        Self::of(&Health::default())
    }
}

impl HealthBody {
    fn of(health: &Health) -> Self {
        Self {
            window_s: health.window_s,
            silence_s: health.silence_s,
            min_heap: health.min_heap,
            max_heap_loss_percent: health.max_heap_loss_percent,
            telemetry: health.telemetry,
        }
    }
}

impl Default for PlanBody {
    fn default() -> Self {
        Self::of(&Plan::default())
    }
}

fn clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn minutes(text: &str) -> ApiResult<u32> {
    let parsed = text.split_once(':').and_then(|(hours, minutes)| {
        let two = |part: &str| {
            (part.len() == 2)
                .then(|| part.parse::<u32>().ok())
                .flatten()
        };
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        (minutes < 60 && hours * 60 + minutes <= 1440).then_some(hours * 60 + minutes)
    });
    parsed.ok_or_else(|| {
        ApiError::invalid(
            &["body", "plan", "windows"],
            "a time of day is HH:MM, for example 22:30",
        )
    })
}

impl PlanBody {
    /// A plan as shown.
    pub fn of(plan: &Plan) -> Self {
        let limit = |limit: Limit| LimitBody {
            count: limit.count,
            percent: limit.percent,
        };
        Self {
            waves: plan.waves.iter().map(WaveBody::of).collect(),
            success_percent: plan.success_percent,
            wave_limit: limit(plan.wave_limit),
            limit: limit(plan.limit),
            health: HealthBody::of(&plan.health),
            soak_s: plan.soak_s,
            patience_s: plan.patience_s,
            start_at: plan.start_at.map(iso),
            windows: plan
                .windows
                .iter()
                .map(|window| WindowBody {
                    weekdays: window.weekdays.clone(),
                    from: clock(window.from),
                    to: clock(window.to),
                })
                .collect(),
            time_zone: plan.time_zone.clone(),
            random_delay_s: plan.random_delay_s,
            downloads: plan.downloads,
            max_attempts: plan.max_attempts,
            confirm_within_s: plan.confirm_within_s,
            approval: plan.approval,
            new_devices: plan.new_devices,
        }
    }

    /// The plan that somebody wants.
    ///
    /// # Errors
    /// 422 when a moment cannot be read.
    pub fn into_plan(self) -> ApiResult<Plan> {
        let limit = |limit: LimitBody| Limit {
            count: limit.count,
            percent: limit.percent,
        };
        let start_at = self.start_at.as_deref().map(|text| {
            text.parse::<jiff::Timestamp>()
                .map(|at| at.as_millisecond())
                .map_err(|_| {
                    ApiError::invalid(
                        &["body", "plan", "start_at"],
                        "must be a moment such as 2026-11-20T08:00:00Z",
                    )
                })
        });
        let window = |window: WindowBody| {
            Ok(Window {
                weekdays: window.weekdays,
                from: minutes(&window.from)?,
                to: minutes(&window.to)?,
            })
        };
        Ok(Plan {
            waves: self.waves.into_iter().map(WaveBody::into_wave).collect(),
            success_percent: self.success_percent,
            wave_limit: limit(self.wave_limit),
            limit: limit(self.limit),
            health: Health {
                window_s: self.health.window_s,
                silence_s: self.health.silence_s,
                min_heap: self.health.min_heap,
                max_heap_loss_percent: self.health.max_heap_loss_percent,
                telemetry: self.health.telemetry,
            },
            soak_s: self.soak_s,
            patience_s: self.patience_s,
            start_at: start_at.transpose()?,
            windows: self
                .windows
                .into_iter()
                .map(window)
                .collect::<ApiResult<_>>()?,
            time_zone: self.time_zone,
            random_delay_s: self.random_delay_s,
            downloads: self.downloads,
            max_attempts: self.max_attempts,
            confirm_within_s: self.confirm_within_s,
            approval: self.approval,
            new_devices: self.new_devices,
        })
    }
}

impl WaveBody {
    fn of(wave: &Wave) -> Self {
        match wave {
            Wave::Percent(percent) => Self::Percent(*percent),
            Wave::Count(count) => Self::Count(*count),
            Wave::Group(name) => Self::Group(name.clone()),
        }
    }

    fn into_wave(self) -> Wave {
        match self {
            Self::Percent(percent) => Wave::Percent(percent),
            Self::Count(count) => Wave::Count(count),
            Self::Group(name) => Wave::Group(name),
        }
    }
}

/// A rollout to make; it begins as a draft.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRollout {
    /// The id that a preview gave: then each device is in the wave that the preview showed.
    #[serde(default)]
    pub id: Option<String>,
    /// What to call it, 1 to 100 characters; channel and version when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// The release to bring.
    pub release_id: String,
    /// Which devices are meant: `"everything"`, `{"devices":[ID]}`, `{"groups":[…]}`, `{"tags":[…]}`, `{"kinds":[…]}`,
    /// `{"chips":[…]}`, `{"version":"< 1.4.0"}`, `{"name":"part"}`, `{"and":[…]}`, `{"or":[…]}` or `{"not":…}`.
    #[schema(value_type = serde_json::Value)]
    pub target: Target,
    /// How.
    #[serde(default)]
    pub plan: PlanBody,
}

/// What to change of a rollout. Once it runs, only its name.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutPatch {
    /// What to call it, 1 to 100 characters.
    pub name: Option<String>,
    /// The release to bring.
    pub release_id: Option<String>,
    /// Which devices are meant.
    #[schema(value_type = Option<serde_json::Value>)]
    pub target: Option<Target>,
    /// The whole new plan.
    pub plan: Option<PlanBody>,
}

/// Devices, counted. `members` is the sum of `waiting`, `under_way`, `watched`, `succeeded`, `failed` and `cancelled`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct CountsView {
    /// Devices that it is meant for and that need it.
    pub members: u32,
    /// Those that were offered nothing yet.
    pub waiting: u32,
    /// Those on their way: offered, downloading, written, on trial, or between two attempts.
    pub under_way: u32,
    /// Those that confirmed and are watched.
    pub watched: u32,
    /// Those that confirmed and were well.
    pub succeeded: u32,
    /// Those that failed, came back to their old image or were not well.
    pub failed: u32,
    /// Those of the failed that are tried again.
    pub retried: u32,
    /// Those that are not wanted any more.
    pub cancelled: u32,
}

impl From<&Counts> for CountsView {
    fn from(counts: &Counts) -> Self {
        Self {
            members: counts.members,
            waiting: counts.waiting,
            under_way: counts.under_way,
            watched: counts.watched,
            succeeded: counts.succeeded,
            failed: counts.failed,
            retried: counts.retried,
            cancelled: counts.cancelled,
        }
    }
}

/// A wave as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaveView {
    /// What it is.
    pub wave: WaveBody,
    /// When it opened; null: not yet.
    pub opened_at: Option<String>,
    /// Its devices.
    pub counts: CountsView,
}

/// A rollout.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolloutView {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The account whose devices it reaches.
    pub owner_id: String,
    /// The release that it brings.
    pub release_id: String,
    /// The release's version.
    pub version: String,
    /// The release's channel.
    pub channel: String,
    /// Which devices are meant.
    #[schema(value_type = serde_json::Value)]
    pub target: Target,
    /// How.
    pub plan: PlanBody,
    /// 16 hexadecimal digits that differ as soon as release, target or plan do: who approves says which one they have seen.
    pub fingerprint: String,
    /// `draft`, `awaiting_approval`, `scheduled`, `running`, `paused`, `halted`, `finished`, `aborted`, `rolling_back`
    /// or `rolled_back`.
    pub state: &'static str,
    /// Why it halted, as a stable word.
    pub reason: Option<String>,
    /// Why it halted, as a sentence.
    pub message: Option<String>,
    /// How many waves are open.
    pub open_waves: usize,
    /// The waves.
    pub waves: Vec<WaveView>,
    /// All waves together.
    pub counts: CountsView,
    /// Devices that return to what they ran before, while it rolls back: all, and those that have.
    pub returning: Option<ReturningView>,
    /// Who made it: an account's id.
    pub created_by: String,
    /// The name of who made it.
    pub created_by_name: String,
    /// Who started it.
    pub started_by: Option<String>,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When it began.
    pub started_at: Option<String>,
    /// When it was over.
    pub ended_at: Option<String>,
}

/// Devices on their way back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReturningView {
    /// All.
    pub devices: usize,
    /// Those that run again what they ran before.
    pub returned: usize,
    /// Those that cannot return; the list of devices says why.
    pub barred: usize,
}

/// What is approved: release, target and plan in 16 hexadecimal digits.
pub fn fingerprint(row: &Row) -> String {
    let seen = (row.release.to_string(), &row.target, &row.plan);
    let text = serde_json::to_vec(&seen).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..8])
}

impl RolloutView {
    /// A rollout as shown.
    pub fn of(rollout: &Rollout) -> Self {
        let row = &rollout.row;
        let wave = |(place, wave): (usize, &Wave)| WaveView {
            wave: WaveBody::of(wave),
            opened_at: row.opened.get(place).copied().map(iso),
            counts: row.counts.get(place).unwrap_or(&Counts::default()).into(),
        };
        let returning = (!rollout.back.is_empty()).then(|| ReturningView {
            devices: rollout.back.len(),
            returned: rollout
                .back
                .values()
                .filter(|t| t.update.state() == State::Confirmed)
                .count(),
            barred: rollout
                .back
                .values()
                .filter(|t| t.verdict.is_some())
                .count(),
        });
        Self {
            id: row.id.to_string(),
            name: row.name.clone(),
            owner_id: row.owner.to_string(),
            release_id: row.release.to_string(),
            version: row.version.clone(),
            channel: row.channel.clone(),
            target: row.target.clone(),
            plan: PlanBody::of(&row.plan),
            fingerprint: fingerprint(row),
            state: row.state.as_str(),
            reason: row.reason.as_ref().map(|(code, _)| code.clone()),
            message: row.reason.as_ref().map(|(_, sentence)| sentence.clone()),
            open_waves: row.opened.len(),
            waves: row.plan.waves.iter().enumerate().map(wave).collect(),
            counts: (&engine::total(&row.counts)).into(),
            returning,
            created_by: row.created_by.to_string(),
            created_by_name: row.created_by_name.clone(),
            started_by: row.started_by.map(|id| id.to_string()),
            approved_by: row.approved_by.map(|id| id.to_string()),
            created_at: iso(row.created_at),
            started_at: row.started_at.map(iso),
            ended_at: row.ended_at.map(iso),
        }
    }
}

/// One device's way to one image.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpdateView {
    /// Its id.
    pub id: String,
    /// The device.
    pub device_id: String,
    /// The rollout; null when a person wanted it for this device.
    pub rollout_id: Option<String>,
    /// `forward`, `back` (a roll back) or `forced` (one device, without a rollout).
    pub way: &'static str,
    /// The image.
    pub firmware_id: String,
    /// The image's SHA-256.
    pub sha256: String,
    /// The image's version.
    pub version: String,
    /// The image's bytes, while it is in the library.
    pub size: Option<u64>,
    /// What the device ran before.
    pub from_version: Option<String>,
    /// The wave, from 1.
    pub wave: Option<u32>,
    /// `waiting`, `offered`, `downloading`, `written`, `trial`, `confirmed`, `rolled_back`, `failed` or `cancelled`.
    pub state: &'static str,
    /// After `confirmed` in a rollout: `watched`, `healthy`, or why the device is not well.
    pub health: Option<String>,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Bytes that are in flash.
    pub bytes: u32,
    /// A patch is applied.
    pub patch: bool,
    /// Why the attempt failed, as the device said.
    pub reason: Option<String>,
    /// When the next attempt begins, after one that failed.
    pub next_attempt_at: Option<String>,
    /// Why the device cannot return to what it ran before.
    pub barred: Option<String>,
    /// When it was first decided.
    pub created_at: String,
    /// When it changed last.
    pub updated_at: String,
}

impl UpdateView {
    /// An update as shown.
    pub(super) fn of(app: &AppState, device: &Device, track: &Track, max_attempts: u32) -> Self {
        let (rollout, way) = match track.way {
            Way::Forward(id) => (Some(id.to_string()), "forward"),
            Way::Back(id) => (Some(id.to_string()), "back"),
            Way::Forced => (None, "forced"),
        };
        let state = track.update.state();
        let forward = matches!(track.way, Way::Forward(_));
        let health = (forward && state == State::Confirmed).then(|| {
            track
                .verdict
                .clone()
                .unwrap_or_else(|| "watched".to_owned())
        });
        let again = match track.update.next(0, max_attempts) {
            Next::WaitUntil(at) => Some(iso(at)),
            _ => None,
        };
        let back = matches!(track.way, Way::Back(_));
        let image = app.ota.library.get(track.firmware);
        let (size, told) = (image.map(|image| image.size), track.update.bytes());
        Self {
            id: track.id.to_string(),
            device_id: device.oid.to_string(),
            rollout_id: rollout,
            way,
            firmware_id: track.firmware.to_string(),
            sha256: hex::encode(track.sha256),
            version: track.version.clone(),
            size,
            from_version: track.from_version.clone(),
            wave: track.wave.map(|wave| u32::from(wave) + 1),
            state: state.as_str(),
            health,
            attempt: track.update.attempt(),
            // What a board says it has is never more than there is.
            bytes: size.map_or(told, |size| {
                told.min(u32::try_from(size).unwrap_or(u32::MAX))
            }),
            patch: track.update.is_patch(),
            reason: track.update.reason().map(str::to_owned),
            next_attempt_at: again,
            barred: track
                .verdict
                .as_deref()
                .filter(|_| back)
                .map(|code| undo::why_not(code).to_owned()),
            created_at: iso(track.created_at),
            updated_at: iso(track.updated_at),
        }
    }
}

/// Where a device stands in a rollout, as one word.
pub fn word(standing: Standing, track: Option<&Track>) -> &'static str {
    let Some(track) = track.filter(|track| track.update.attempt() > 0) else {
        return match standing {
            Standing::Apart => "apart",
            Standing::Cancelled => "cancelled",
            _ => "waiting",
        };
    };
    match track.update.state() {
        State::Confirmed => match track.verdict.as_deref() {
            None => "watched",
            Some(HEALTHY) => "succeeded",
            Some(_) => "unwell",
        },
        state => state.as_str(),
    }
}
