//! What one key of a device should be and what it is: the state machine of desired and reported values.
//!
//! The app writes what should be, the device writes what is; both have versions and neither overwrites the
//! other. It knows no database and no socket: time comes in as a parameter, and whoever keeps a [`Twin`]
//! stores it before acknowledging.
//!
//! # How the loop closes
//! A device that speaks of versions answers the version. Older firmware only posts the value; there an equal
//! value is the answer, with one exception: when a newer value was set while an older, different one had been
//! handed to the device and not answered, an equal value may be a look back (the device reports what it was
//! before it applied the older one). Such a contested value closes only after it has been handed over itself.

use serde_json::Value;

/// The largest version that a device may claim, 2^53: beyond it a JSON number is not exact any more.
pub const MAX_CLAIMED_VERSION: u64 = 1 << 53;

/// Two numbers this close (relative) are one value: a device that computes in 32 bits gives back 21.700000763.
const RELATIVE_TOLERANCE: f64 = 1e-6;

/// The state of one key of one device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Twin {
    /// What it should be; `None` until somebody has set it.
    pub desired: Option<Value>,
    /// The version of `desired`; it never goes back.
    pub version: u64,
    /// The newest version that the device has answered; `desired` is pending while this is smaller.
    pub answered: u64,
    /// An older, different value was handed over and not answered.
    pub contested: bool,
    /// Nobody wants the pending value any more.
    pub expired: bool,
    /// When the pending value is no longer wanted, milliseconds UTC.
    pub expires_at: Option<i64>,
    /// Who set it.
    pub set_by: Option<String>,
    /// When it was set, milliseconds UTC.
    pub set_at: Option<i64>,
    /// What it is.
    pub reported: Option<Value>,
    /// The version that the device named with it, or 0.
    pub reported_version: u64,
    /// When the device said so, milliseconds UTC.
    pub reported_at: Option<i64>,
    /// The device may have got the desired value. Not stored: after a restart it is assumed.
    pub maybe_handed: bool,
    /// The device certainly got the current version. Not stored: after a restart it must get it again.
    pub handed: bool,
    /// Why the device will not apply the current version, in one sentence.
    pub refused: Option<String>,
}

/// Where the loop of one key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was ever desired.
    Unset,
    /// Desired, and not yet reported.
    Pending,
    /// The device has answered.
    Done,
    /// The device did not answer while it was wanted.
    Expired,
    /// The device said that it will not apply it.
    Refused,
}

impl Progress {
    /// The name on the wire; `None` when nothing was ever desired.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Pending => Some("pending"),
            Self::Done => Some("done"),
            Self::Expired => Some("expired"),
            Self::Refused => Some("refused"),
        }
    }
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effect {
    /// Something other than the moment changed; it must be stored.
    pub changed: bool,
    /// The loop closed just now.
    pub closed: bool,
}

impl Twin {
    /// Tells where the loop stands at `now` (milliseconds UTC).
    pub fn progress(&self, now: i64) -> Progress {
        if self.desired.is_none() {
            Progress::Unset
        } else if self.version <= self.answered {
            Progress::Done
        } else if self.refused.is_some() {
            Progress::Refused
        } else if self.expired || self.expires_at.is_some_and(|at| at <= now) {
            Progress::Expired
        } else {
            Progress::Pending
        }
    }

    /// Sets what it should be and returns the new version, greater than every version before.
    pub fn set(&mut self, value: Value, by: &str, now: i64, expires_at: Option<i64>) -> u64 {
        let other = self.desired.as_ref().is_some_and(|old| !same(old, &value));
        let open = self.version > self.answered;
        self.contested = open && (self.contested || (self.maybe_handed && other));
        self.version = self.version.max(self.reported_version) + 1;
        self.desired = Some(value);
        self.expired = false;
        self.refused = None;
        self.expires_at = expires_at;
        self.set_by = Some(by.to_owned());
        self.set_at = Some(now);
        if other {
            self.maybe_handed = false;
        }
        self.handed = false;
        self.version
    }

    /// The value and version to give to the device, if it is still wanted; the device then counts as having
    /// got it.
    pub fn hand_over(&mut self, now: i64) -> Option<(Value, u64)> {
        if self.progress(now) != Progress::Pending {
            return None;
        }
        self.maybe_handed = true;
        self.handed = true;
        Some((self.desired.clone()?, self.version))
    }

    /// Takes what the device says it is. `version` is the desired version that it answers; 0 when the device
    /// changed it by itself or does not speak of versions.
    pub fn report(&mut self, value: &Value, version: u64, now: i64) -> Effect {
        let version = if version > MAX_CLAIMED_VERSION {
            0
        } else {
            version
        };
        let before = (
            self.version,
            self.answered,
            self.reported_version,
            self.contested,
        );
        let was_open = self.desired.is_some() && self.version > self.answered;
        let equal = self.desired.as_ref().is_some_and(|d| same(d, value));
        if version == 0 {
            if was_open && equal && (!self.contested || self.handed) {
                self.answered = self.version;
            }
        } else if version > self.version {
            // The device remembers more than this server does (an older backup was restored). Go past its
            // version, so that a value that is still wanted is not older than what the device knows.
            let still_wanted = was_open && !equal;
            self.version = version + u64::from(still_wanted);
            if !still_wanted {
                self.answered = version;
            }
            self.maybe_handed = false;
            self.handed = false;
        } else {
            self.answered = self.answered.max(version);
        }
        if self.answered == self.version {
            self.contested = false;
        }
        let new_value = self.reported.as_ref() != Some(value);
        self.reported_version = version;
        self.reported_at = Some(now);
        if new_value {
            self.reported = Some(value.clone());
        }
        let after = (
            self.version,
            self.answered,
            self.reported_version,
            self.contested,
        );
        let closed = was_open && self.answered == self.version;
        if closed {
            self.expired = false;
        }
        if closed || before.0 != self.version {
            self.refused = None;
        }
        Effect {
            changed: new_value || before != after,
            closed,
        }
    }

    /// Takes what the device says of a version that it will not apply: a switch that it does not have, a value out of its bounds.
    /// The value is not handed over again; a refusal of another version than the current one says nothing.
    pub fn refuse(&mut self, version: u64, why: &str) -> Effect {
        let open = self.desired.is_some() && self.version > self.answered;
        let changed = open && version == self.version && self.refused.as_deref() != Some(why);
        if changed {
            self.refused = Some(why.to_owned());
        }
        Effect {
            changed,
            closed: false,
        }
    }

    /// Marks a pending value as no longer wanted when its time is over; true when it happened just now.
    pub fn expire(&mut self, now: i64) -> bool {
        let over = !self.expired && self.progress(now) == Progress::Expired;
        self.expired |= over;
        over
    }

    /// Tells whether `report` would only move the moment; then nothing needs to be stored.
    pub fn is_news(&self, value: &Value, version: u64, now: i64) -> bool {
        self.clone().report(value, version, now).changed
    }
}

/// Tells whether two values mean the same to a device: `true` is 1, `1.0` is 1, and numbers are compared
/// with the precision of 32 bits.
pub fn same(a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    match (number(a), number(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= RELATIVE_TOLERANCE * a.abs().max(b.abs()),
        _ => false,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(on) => Some(f64::from(u8::from(*on))),
        Value::Number(n) => n.as_f64(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "twin_tests.rs"]
mod tests;
