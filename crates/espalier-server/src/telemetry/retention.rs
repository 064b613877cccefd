//! How long points are kept: rules per device and account, and the work that enforces them.

use super::ingest::store_error;
use super::parse::check_name;
use super::store::{self, KeepRule, Scope};
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use espalier_tsdb::RetentionRule;
use std::collections::HashMap;
use std::time::Duration;

/// How often the rules are enforced: what is kept in days need not go by the minute.
const EVERY: Duration = Duration::from_secs(3600);

/// Most rules of one device or account.
const MAX_RULES: usize = 256;

/// A century; more than any rule needs, and far from the ends of time.
const MAX_DAYS: i64 = 36_500;

const DAY_MS: i64 = 86_400_000;

/// Starts the loop that enforces the rules.
pub fn start(app: &AppState) {
    let app = app.clone();
    app.tasks.clone().spawn(async move {
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                _ = timer.tick() => {}
            }
            match tick(&app).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed points that were kept long enough"),
                Err(error) => tracing::error!(%error, "retention could not be enforced; trying again in an hour"),
            }
        }
    });
}

/// Removes what is older than the rules say and returns how many points that were.
pub async fn tick(app: &AppState) -> ApiResult<u64> {
    let rules = app.db.read(store::all_rules).await?;
    if rules.is_empty() {
        return Ok(0);
    }
    let now = app.clock.now_ms();
    let rules = effective(app, rules);
    let removed = app.tsdb.enforce_retention(&rules, now).await;
    let removed = removed.map_err(store_error)?;
    if removed > 0 {
        // A latest value may be among them; what is left is loaded when somebody asks.
        app.telemetry.latest.forget_all();
    }
    Ok(removed)
}

/// The rules of each device: its own, and those of its owner for the keys it has no rule for. A device with a rule
/// for all keys has no use for its owner's.
fn effective(app: &AppState, rules: Vec<(Scope, String, KeepRule)>) -> Vec<RetentionRule> {
    let (mut own, mut defaults) = (HashMap::new(), HashMap::new());
    for (scope, id, rule) in rules {
        let of: &mut HashMap<String, Vec<KeepRule>> = match scope {
            Scope::Device => &mut own,
            Scope::Account => &mut defaults,
        };
        of.entry(id).or_default().push(rule);
    }
    let mut effective = Vec::new();
    for device in app.devices.all() {
        let own = own.remove(&device.id.to_string()).unwrap_or_default();
        let inherited = defaults
            .get(&device.owner.to_string())
            .map_or(&[][..], Vec::as_slice);
        let for_all = own.iter().any(|rule| rule.key == "*");
        let inherited = inherited
            .iter()
            .filter(|rule| !for_all && own.iter().all(|own| own.key != rule.key));
        effective.extend(own.iter().chain(inherited).map(|rule| RetentionRule {
            device: Some(device.id.0),
            key: (rule.key != "*").then(|| rule.key.as_str().into()),
            keep_ms: rule.keep_days.saturating_mul(DAY_MS),
        }));
    }
    effective
}

/// Reads the rules of a device or account.
pub async fn read(app: &AppState, scope: Scope, id: String) -> ApiResult<Vec<KeepRule>> {
    Ok(app.db.read(move |c| store::rules(c, scope, &id)).await?)
}

/// Replaces the rules of a device or account; the next tick enforces them.
pub async fn replace(
    app: &AppState,
    scope: Scope,
    id: String,
    mut rules: Vec<KeepRule>,
) -> ApiResult<Vec<KeepRule>> {
    rules.sort_by(|a, b| a.key.cmp(&b.key));
    check(&rules)?;
    let kept = rules.clone();
    app.db
        .write(move |c| store::replace(c, scope, &id, &kept))
        .await
        .map_err(|error: espalier_db::Error| match error {
            espalier_db::Error::ForeignKey => ApiError::not_found("Device"),
            other => other.into(),
        })?;
    Ok(rules)
}

fn check(rules: &[KeepRule]) -> ApiResult<()> {
    if rules.len() > MAX_RULES {
        let what = format!("at most {MAX_RULES} rules; take `*` for what is kept equally long");
        return Err(ApiError::invalid(&["body"], what));
    }
    for rule in rules {
        if rule.key != "*" {
            check_name(&rule.key).map_err(|what| ApiError::invalid(&["body", "key"], what))?;
        }
        if !(1..=MAX_DAYS).contains(&rule.keep_days) {
            let what = format!("must be 1 to {MAX_DAYS}; to keep for ever, leave the rule out");
            return Err(ApiError::invalid(&["body", "keep_days"], what));
        }
    }
    if rules.windows(2).any(|pair| pair[0].key == pair[1].key) {
        return Err(ApiError::invalid(
            &["body", "key"],
            "two rules have the same key",
        ));
    }
    Ok(())
}
