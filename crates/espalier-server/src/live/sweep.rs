//! One clock for every connection: who is silent, whose credential ended, and the end of the server.

use super::device_socket;
use super::hub::{self, Watcher};
use super::signal::End;
use crate::AppState;
use crate::identity::Revoked;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;

/// How long an app may say nothing before its socket is closed, milliseconds; existing clients know it.
const SILENCE_MS: i64 = 45_000;

/// How long an event stream may be quiet before a comment is sent, milliseconds; existing clients know it,
/// and proxies cut connections that are quiet for a minute.
const KEEPALIVE_MS: i64 = 30_000;

/// How often connections are looked after.
const TICK: Duration = Duration::from_secs(1);

/// Starts looking after the connections; ends them all when the server stops.
pub(super) fn start(app: &AppState) {
    let app = app.clone();
    let mut revocations = app.identity.revocations();
    app.tasks.clone().spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => break,
                revoked = revocations.recv() => match revoked {
                    Ok(what) => revoke(&app, &what),
                    // Who cannot know any more whose credential ended lets everybody show theirs again.
                    Err(RecvError::Lagged(_)) => end_watchers(&app, End::Busy),
                    Err(RecvError::Closed) => {}
                },
                _ = ticks.tick() => tick(&app).await,
            }
        }
        end_watchers(&app, End::Stopping);
        for link in app.live.links.all() {
            link.signal.finish(End::Stopping);
        }
    });
}

fn end_watchers(app: &AppState, end: End) {
    for watcher in app.live.hub.all() {
        watcher.signal.finish(end);
    }
}

fn revoke(app: &AppState, what: &Revoked) {
    app.live.tickets.revoke(what);
    for watcher in app.live.hub.all() {
        if what.ends(&watcher.caller) {
            watcher.signal.finish(End::Unauthorized);
        }
    }
}

/// Looks after every connection once.
pub(super) async fn tick(app: &AppState) {
    let now = app.clock.now_ms();
    device_socket::sweep(app);
    app.live.hub.rings().expire(now);
    for watcher in app.live.hub.all() {
        look(&watcher, now);
        if watcher.good_until.load(Ordering::Relaxed) <= now
            && watcher.signal.ended().is_none()
            && let Err(end) = hub::renew(app, &watcher).await
        {
            watcher.signal.finish(end);
        }
    }
}

fn look(watcher: &Arc<Watcher>, now: i64) {
    let silent = watcher.signal.silent_for(now);
    if !watcher.speaks {
        if silent >= KEEPALIVE_MS {
            watcher.signal.ask_ping();
        }
    } else if silent >= SILENCE_MS {
        watcher.signal.finish(End::Silent);
    } else if silent >= SILENCE_MS / 2 {
        watcher.signal.ask_ping();
    }
}
