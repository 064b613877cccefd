//! One change to many devices, each judged by itself: what one may not touch does not stop the others.

use super::http::bulk::{BulkAction, BulkResult};
use super::logic::{self, Note};
use super::{Device, check, delete, permits, presence, require};
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState, identity};
use espalier_model::{Action, DeviceId};
use futures_util::StreamExt;
use serde_json::json;
use std::collections::BTreeSet;

/// How many devices are worked on at once; their transactions share a commit.
const AT_ONCE: usize = 32;

/// What to do, checked.
pub struct Plan {
    add: Box<[Box<str>]>,
    remove: Vec<String>,
    /// `Some(None)` takes the device out of all groups.
    group: Option<Option<Box<str>>>,
    delete: bool,
}

impl Plan {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// 422 when nothing is asked for, or deletion together with something else.
    pub fn of(action: BulkAction) -> Result<Self, ApiError> {
        let group = match action.set_group.as_ref().map(Option::as_deref) {
            None => None,
            Some(None | Some("")) => Some(None),
            Some(Some(name)) => {
                let named = check::labels("action.set_group", &[name])?;
                Some(named.into_iter().next())
            }
        };
        let plan = Self {
            add: check::labels("action.add_tags", &action.add_tags.unwrap_or_default())?,
            remove: action.remove_tags.unwrap_or_default(),
            group,
            delete: action.delete.unwrap_or(false),
        };
        let changes = !plan.add.is_empty() || !plan.remove.is_empty() || plan.group.is_some();
        if changes == plan.delete {
            return Err(ApiError::invalid(
                &["body", "action"],
                "must be either `delete: true` or at least one of add_tags, remove_tags, set_group",
            ));
        }
        Ok(plan)
    }

    fn needs(&self) -> Action {
        if self.delete {
            Action::Own
        } else {
            Action::Manage
        }
    }

    fn apply(&self, old: &Device) -> Result<Option<(Device, Note)>, ApiError> {
        let mut tags: Vec<&str> = old.tags.iter().map(|tag| &**tag).collect();
        tags.retain(|tag| !self.remove.iter().any(|gone| gone.trim() == *tag));
        tags.extend(self.add.iter().map(|tag| &**tag));
        let mut new = old.clone();
        new.tags = check::labels("action.add_tags", &tags)?;
        if let Some(group) = &self.group {
            new.groups = group.iter().cloned().collect();
        }
        if new.tags == old.tags && new.groups == old.groups {
            return Ok(None);
        }
        let detail = json!({ "tags": new.tags, "groups": new.groups });
        Ok(Some((new, Note::new("changed", detail))))
    }
}

/// Refuses requests that name too many devices.
fn limit(ids: &[String]) -> Result<(), ApiError> {
    if ids.is_empty() || ids.len() > check::MAX_BULK {
        return Err(ApiError::invalid(
            &["body", "device_ids"],
            format!("must name 1 to {} devices", check::MAX_BULK),
        ));
    }
    Ok(())
}

/// Carries out a plan on many devices; the results stand in the order of the ids.
///
/// # Errors
/// 422 when there are too many ids; what goes wrong with one device is in its result.
pub async fn run(
    app: &AppState,
    caller: &Caller,
    ids: Vec<String>,
    plan: Plan,
) -> Result<Vec<BulkResult>, ApiError> {
    limit(&ids)?;
    let (app, caller) = (app.clone(), caller.clone());
    logic::to_the_end(&app.clone(), async move {
        let results: Vec<BulkResult> = futures_util::stream::iter(ids)
            .map(|id| one(&app, &caller, id, &plan))
            .buffered(AT_ONCE)
            .collect()
            .await;
        let done: Vec<&str> = results
            .iter()
            .filter(|result| result.ok)
            .map(|result| result.device_id.as_str())
            .collect();
        let action = if plan.delete {
            "device.delete"
        } else {
            "device.change"
        };
        let detail = json!({ "devices": done });
        identity::audit(&app, &caller, action, "bulk", detail).await?;
        Ok(results)
    })
    .await
}

async fn one(app: &AppState, caller: &Caller, id: String, plan: &Plan) -> BulkResult {
    let work = async {
        let principal = Principal::Account(caller.clone());
        let device = require(app, &principal, &id, plan.needs())?;
        if plan.delete {
            return match delete::delete(app, device.id).await? {
                true => Ok(()),
                false => Err(ApiError::not_found("Device")),
            };
        }
        let apply = |old: &Device| {
            // Under the lock: the device may have changed hands since.
            if !permits(app, &principal, old, plan.needs()) {
                return Err(ApiError::not_found("Device"));
            }
            plan.apply(old)
        };
        logic::change(app, device.id, apply, |_, _| Ok(())).await?;
        Ok(())
    };
    BulkResult::of(id.clone(), work.await)
}

/// Notes by hand that the caller's devices are there or not, and returns how many those are. A device that is
/// not the caller's does not count; the next report or silence overrides it.
///
/// # Errors
/// 422 when there are too many ids.
pub async fn set_status(
    app: &AppState,
    caller: &Caller,
    ids: Vec<String>,
    online: bool,
) -> Result<usize, ApiError> {
    limit(&ids)?;
    let named: BTreeSet<DeviceId> = ids
        .iter()
        .filter_map(|id| app.devices.resolve(id))
        .filter(|device| device.owner == caller.account)
        .map(|device| device.id)
        .collect();
    let now = app.clock.now_ms();
    let word = if online { "online" } else { "offline" };
    let mut count = 0;
    for device in named.iter().filter_map(|&id| app.devices.get(id)) {
        let detail = json!({ "status": word, "by": caller.username });
        app.devices.journal.add(&device, now, "status_set", &detail);
        presence::turn(app, &device, online, now, json!({ "by": caller.username }));
        count += 1;
    }
    super::tick(app).await?;
    let detail = json!({ "devices": ids, "status": word });
    identity::audit(app, caller, "device.status", "bulk", detail).await?;
    Ok(count)
}
