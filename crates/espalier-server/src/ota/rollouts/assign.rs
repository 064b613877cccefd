//! A release as the current one of a type of boards, for pages that know of no rollouts.

use super::manage;
use super::view::{NewRollout, PlanBody};
use crate::AppState;
use crate::error::ApiResult;
use crate::identity::Caller;
use espalier_model::ReleaseId;
use espalier_model::ota::rollout::State;
use espalier_model::ota::target::Target;

/// Rolls a release out to every device of a type, in the usual waves; devices that come later take part. A release that is
/// on its way already, or has arrived, stays as it is.
///
/// # Errors
/// As making and starting a rollout.
pub async fn bring(
    app: &AppState,
    caller: &Caller,
    release: ReleaseId,
    kind: &str,
) -> ApiResult<()> {
    let there = {
        let core = app.ota.rollouts.core.lock();
        let mut of = core.rollouts.values();
        of.any(|one| {
            let ended = matches!(one.row.state, State::Aborted | State::RolledBack);
            one.row.release == release && !ended
        })
    };
    if there {
        return Ok(());
    }
    let wanted = NewRollout {
        id: None,
        name: None,
        release_id: release.to_string(),
        target: Target::Kinds(vec![kind.to_owned()]),
        plan: PlanBody::default(),
    };
    let id = manage::create(app, caller, wanted).await?;
    manage::start(app, caller, id).await
}

/// Ends and removes the rollouts of a release that is about to go.
///
/// # Errors
/// 409 when one of them is rolling back.
pub async fn forget_release(app: &AppState, caller: &Caller, release: ReleaseId) -> ApiResult<()> {
    let found: Vec<_> = {
        let core = app.ota.rollouts.core.lock();
        let of = core.rollouts.values();
        of.filter(|one| one.row.release == release)
            .map(|one| (one.row.id, one.row.state))
            .collect()
    };
    for (id, state) in found {
        if state != State::Draft && !state.is_over() {
            manage::abort(app, caller, id).await?;
        }
        manage::delete(app, caller, id).await?;
    }
    Ok(())
}
