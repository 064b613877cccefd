//! What boards should do: dashboards, widgets, desired and reported state, commands.
//!
//! Three parts: [`boards`] is what people look at and touch, [`state`] keeps what each key of a device should
//! be and is (the decisions are [`espalier_model::twin`]'s), [`commands`] are done once and answered.
//! Schedules, timers and rules are not here: they are callers of [`set_desired`] and [`send_command`].

mod boards;
mod commands;
mod state;

pub(crate) use commands::own_device;
pub use commands::{NewCommand, PendingCommand, command_result, pending_commands, send_command};
pub(crate) use state::depth;
pub use state::{
    Desired, Reported, forget, led, next_part, over_reported, parts, pending, report,
    report_telemetry, set_desired, split,
};

use crate::{ApiError, AppState};
use espalier_db::Db;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// How often the server looks for values and commands whose time is over.
const TICK: Duration = Duration::from_secs(1);

/// What this feature keeps in memory.
pub struct State {
    twins: state::Twins,
    waiters: commands::Waiters,
    due: state::Due,
}

impl State {
    /// Loads what lives in memory.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        Ok(Self {
            twins: state::Twins::load(db).await?,
            waiters: commands::Waiters::default(),
            due: state::Due::default(),
        })
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    boards::routes()
        .merge(state::routes())
        .merge(commands::routes())
}

/// Starts the background work of this feature.
pub(crate) fn start(app: &AppState) {
    let app = app.clone();
    app.tasks.clone().spawn(async move {
        let mut timer = tokio::time::interval(TICK);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                _ = timer.tick() => {}
            }
            if let Err(error) = tick(&app).await {
                tracing::error!(%error, "cannot expire desired values and commands; trying again");
            }
        }
    });
}

/// Runs a change to its end even when the client hangs up meanwhile; otherwise memory and devices could miss
/// what the database has.
async fn to_the_end<T: Send + 'static>(
    app: &AppState,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    app.tasks.spawn(work).await.map_err(ApiError::internal)?
}

/// Expires desired values and commands whose time is over. Costs nothing while none is due.
///
/// # Errors
/// Fails when the database does.
pub async fn tick(app: &AppState) -> Result<(), ApiError> {
    let now = app.clock.now_ms();
    if !app.control.due.take(now) {
        return Ok(());
    }
    let result = async {
        let values = state::expire(app, now).await?;
        let commands = commands::expire(app, now).await?;
        Ok(values.into_iter().chain(commands).min())
    }
    .await;
    match result {
        Ok(next) => {
            app.control
                .due
                .at(next.unwrap_or(i64::MAX).min(now + state::SWEEP_MS));
            Ok(())
        }
        Err(error) => {
            app.control.due.at(now);
            Err(error)
        }
    }
}
