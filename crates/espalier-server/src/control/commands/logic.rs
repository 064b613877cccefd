//! Sending, delivering, answering, cancelling and expiring commands.

use super::store::{self, Command, Phase};
use super::{PendingCommand, http::CommandView};
use crate::control::{depth, to_the_end};
use crate::devices::Device;
use crate::{ApiError, AppState, live, random};
use axum::http::StatusCode;
use espalier_db::Conn;
use espalier_model::DeviceId;
use espalier_wire::limits::{MAX_DOWN_BYTES, MAX_VALUE_DEPTH, MAX_WISH_BYTES};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Open commands of one device: more is a program that runs away.
const MAX_OPEN: i64 = 100;
/// The longest name of a command, characters.
const MAX_NAME: usize = 64;
/// The largest results, bytes of JSON: what fits a frame of the device socket with room.
const MAX_JSON: usize = 16 * 1024;
/// Bytes of an answer with commands, besides them.
const AROUND: usize = 16;
/// Bytes of one command in an answer besides its texts: quotes, names and a moment of twenty digits.
const AROUND_ONE: usize = 64;
const _: () = assert!(
    MAX_WISH_BYTES + MAX_NAME + 24 + AROUND_ONE + AROUND <= MAX_DOWN_BYTES,
    "the largest command fits a message to a device"
);
/// The longest error text that is kept, characters.
const MAX_ERROR: usize = 1000;
/// How long outcomes are kept, milliseconds (30 days).
const KEEP_MS: i64 = 30 * 24 * 3600 * 1000;

/// Something that a device should do once.
#[derive(Debug, Clone)]
pub struct NewCommand {
    /// What to do.
    pub name: String,
    /// With what; an object.
    pub params: Value,
    /// When it is no longer wanted, milliseconds UTC.
    pub expires_at: i64,
    /// Who wants it.
    pub by: String,
}

/// Stores a command and hands it to the device at once when it is connected. Returns the command and whether
/// it was handed over.
///
/// # Errors
/// 422 when the name or parameters break a limit, 409 when too many are open.
pub async fn send(
    app: &AppState,
    device: &Arc<Device>,
    new: NewCommand,
) -> Result<(Command, bool), ApiError> {
    check(&new)?;
    let (at, device) = (app.clone(), device.clone());
    to_the_end(app, async move { store_and_push(&at, &device, new).await }).await
}

async fn store_and_push(
    app: &AppState,
    device: &Arc<Device>,
    new: NewCommand,
) -> Result<(Command, bool), ApiError> {
    let now = app.clock.now_ms();
    let command = Command {
        id: random::oid(&app.clock).to_string(),
        device: device.id,
        name: new.name,
        params: new.params,
        phase: Phase::Queued,
        created_by: new.by,
        created_at: now,
        expires_at: new.expires_at,
        delivered_at: None,
        finished_at: None,
        result: None,
        error: None,
    };
    let row = command.clone();
    let insert = move |c: &Conn<'_>| {
        if store::count_open(c, row.device, now)? >= MAX_OPEN {
            let why = format!(
                "{MAX_OPEN} commands wait for this device already; cancel some, or wait until it answers."
            );
            return Err(ApiError::conflict("too_many_commands", why));
        }
        store::insert(c, &row).map_err(|error| match error {
            espalier_db::Error::ForeignKey => ApiError::not_found("Device"),
            other => other.into(),
        })
    };
    app.db.write(insert).await?;
    app.control.due.at(command.expires_at);
    announce(app, device, &command);
    if !live::push_command(app, device.id, &pending(&command)) {
        return Ok((command, false));
    }
    let command = deliver(app, device, vec![command]).await?.remove(0);
    Ok((command, true))
}

/// Stores a command and hands it to the device at once when it is connected; returns its id.
///
/// # Errors
/// As [`send`].
pub async fn send_command(
    app: &AppState,
    device: &Arc<Device>,
    new: NewCommand,
) -> Result<String, ApiError> {
    Ok(send(app, device, new).await?.0.id)
}

fn check(new: &NewCommand) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if !(1..=MAX_NAME).contains(&new.name.len()) || !new.name.chars().all(plain) {
        let why = format!("must be 1 to {MAX_NAME} letters, digits, `_`, `-`, `.` or `:`");
        return Err(ApiError::invalid(&["body", "name"], why));
    }
    match untellable(&new.params) {
        Some(why) => Err(ApiError::invalid(&["body", "params"], why)),
        None => Ok(()),
    }
}

/// Returns why no message to a device can hold these parameters.
fn untellable(params: &Value) -> Option<String> {
    if params.to_string().len() > MAX_WISH_BYTES {
        return Some(format!(
            "may have at most {MAX_WISH_BYTES} bytes of JSON, as devices hold no more at once"
        ));
    }
    (depth(params) > MAX_VALUE_DEPTH)
        .then(|| format!("may nest at most {MAX_VALUE_DEPTH} levels deep"))
}

/// The commands that wait for a device, oldest first, also those it got before and has not answered. They
/// then count as delivered. With `room`, in bytes, as many as fit an answer of that size.
///
/// # Errors
/// Fails when the database does.
pub async fn pending_commands(
    app: &AppState,
    device: DeviceId,
    room: Option<usize>,
) -> Result<Vec<PendingCommand>, ApiError> {
    let now = app.clock.now_ms();
    let open = app.db.read(move |c| store::open(c, device, now)).await?;
    let Some(known) = app.devices.get(device).filter(|_| !open.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut told = Vec::with_capacity(open.len());
    for command in open {
        match untellable(&command.params) {
            Some(why) => fail(app, &known, &command, &why).await?,
            None => told.push(command),
        }
    }
    let open = deliver(app, &known, within(told, room)).await?;
    let still = open.iter().filter(|command| command.phase.is_open());
    Ok(still.map(pending).collect())
}

/// Answers in the device's place what was sent before there was a bound: it could never be told.
async fn fail(
    app: &AppState,
    device: &Arc<Device>,
    command: &Command,
    why: &str,
) -> Result<(), ApiError> {
    let why = format!("The parameters {why}.");
    let ended = finish(app, device, &command.id, Phase::Failed, None, Some(why)).await;
    // Somebody else may have ended it just now.
    ended.map(drop).or_else(|error| match error.status() {
        StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(()),
        _ => Err(error),
    })
}

/// As many commands as fit, oldest first. Those that the device never got find their place before those that it has and does not
/// answer.
fn within(mut commands: Vec<Command>, room: Option<usize>) -> Vec<Command> {
    let Some(room) = room else {
        return commands;
    };
    let mut left = room.saturating_sub(AROUND);
    let mut fits = |command: &Command| {
        let texts = command.id.len() + command.name.len() + command.params.to_string().len();
        let rest = left.checked_sub(texts + AROUND_ONE);
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    let mut taken = HashSet::new();
    for phase in [Phase::Queued, Phase::Delivered] {
        let of_phase = commands.iter().filter(|command| command.phase == phase);
        taken.extend(of_phase.take_while(|c| fits(c)).map(|c| c.id.clone()));
    }
    commands.retain(|command| taken.contains(&command.id));
    commands
}

/// Marks commands as delivered and tells who watches; returns them as they are then.
async fn deliver(
    app: &AppState,
    device: &Arc<Device>,
    commands: Vec<Command>,
) -> Result<Vec<Command>, ApiError> {
    if commands.iter().all(|c| c.phase == Phase::Delivered) {
        return Ok(commands);
    }
    let (id, now) = (device.id, app.clock.now_ms());
    let mark = move |c: &Conn<'_>| {
        let mut found = Vec::with_capacity(commands.len());
        for command in &commands {
            let news = store::deliver(c, &command.id, now)?;
            let command = store::get(c, id, &command.id)?;
            found.extend(command.map(|command| (command, news)));
        }
        Ok::<_, espalier_db::Error>(found)
    };
    let found = app.db.write(mark).await?;
    for (command, _) in found.iter().filter(|(_, news)| *news) {
        announce(app, device, command);
    }
    Ok(found.into_iter().map(|(command, _)| command).collect())
}

/// Takes a device's answer to a command. The first answer stands; the same answer again is fine.
///
/// # Errors
/// 404 when the device has no such command, 409 when it is answered otherwise, cancelled or expired.
pub async fn command_result(
    app: &AppState,
    device: &Arc<Device>,
    id: &str,
    result: Result<Value, String>,
) -> Result<(), ApiError> {
    let (phase, result, error) = match result {
        Ok(value) => (Phase::Done, Some(value).filter(|v| !v.is_null()), None),
        Err(why) => (Phase::Failed, None, Some(why)),
    };
    if result
        .as_ref()
        .is_some_and(|r| r.to_string().len() > MAX_JSON)
    {
        let why = format!("may have at most {MAX_JSON} bytes");
        return Err(ApiError::invalid(&["body", "result"], why));
    }
    let error = error.map(|text| text.replace('\0', " ").chars().take(MAX_ERROR).collect());
    finish(app, device, id, phase, result, error).await?;
    Ok(())
}

/// Cancels a command that is still open.
pub async fn cancel(app: &AppState, device: &Arc<Device>, id: &str) -> Result<Command, ApiError> {
    finish(app, device, id, Phase::Cancelled, None, None).await
}

async fn finish(
    app: &AppState,
    device: &Arc<Device>,
    id: &str,
    phase: Phase,
    result: Option<Value>,
    error: Option<String>,
) -> Result<Command, ApiError> {
    let (at, device, id) = (app.clone(), device.clone(), id.to_owned());
    let work = async move { store_outcome(&at, &device, &id, phase, result, error).await };
    to_the_end(app, work).await
}

async fn store_outcome(
    app: &AppState,
    device: &Arc<Device>,
    id: &str,
    phase: Phase,
    result: Option<Value>,
    error: Option<String>,
) -> Result<Command, ApiError> {
    let (owner, now, wanted) = (device.id, app.clock.now_ms(), id.to_owned());
    let end = move |c: &Conn<'_>| {
        let command = store::get(c, owner, &wanted)?;
        let mut command = command.ok_or_else(|| ApiError::not_found("Command"))?;
        if !command.phase.is_open() {
            return if command.phase == phase {
                Ok((command, false))
            } else {
                Err(closed(command.phase))
            };
        }
        if command.expires_at <= now {
            return Err(closed(Phase::Expired));
        }
        command.phase = phase;
        command.finished_at = Some(now);
        command.result.clone_from(&result);
        command.error.clone_from(&error);
        store::finish(c, &command)?;
        Ok((command, true))
    };
    let (command, news) = app.db.write(end).await?;
    if news {
        announce(app, device, &command);
        app.control.waiters.wake(id);
    }
    Ok(command)
}

fn closed(phase: Phase) -> ApiError {
    let why = match phase {
        Phase::Expired => "The command is expired; nobody waits for its outcome any more.",
        Phase::Cancelled => "The command was cancelled.",
        _ => "The command is answered already; its first outcome stands.",
    };
    ApiError::conflict("command_closed", why)
}

/// A command, after waiting up to `wait` for its outcome.
pub async fn outcome(
    app: &AppState,
    device: DeviceId,
    id: &str,
    wait: Duration,
) -> Result<Command, ApiError> {
    let waiting = app.control.waiters.wait(id);
    let woken = waiting.signal.notified();
    tokio::pin!(woken);
    // From here on a wake-up is not missed, also when it comes before the first look.
    woken.as_mut().enable();
    let command = read(app, device, id).await?;
    if !command.phase.is_open() || wait.is_zero() {
        return Ok(command);
    }
    tokio::select! {
        () = woken => {}
        () = tokio::time::sleep(wait) => {}
        () = app.shutdown.cancelled() => {}
    }
    read(app, device, id).await
}

async fn read(app: &AppState, device: DeviceId, id: &str) -> Result<Command, ApiError> {
    let id = id.to_owned();
    let found = app.db.read(move |c| store::get(c, device, &id)).await?;
    found.ok_or_else(|| ApiError::not_found("Command"))
}

/// The newest commands of a device, newest first.
pub async fn list(
    app: &AppState,
    device: DeviceId,
    phase: Option<Phase>,
    limit: u32,
) -> Result<Vec<Command>, ApiError> {
    let read = move |c: &Conn<'_>| store::list(c, device, phase, limit);
    Ok(app.db.read(read).await?)
}

/// Expires commands whose time is over, forgets old outcomes, and returns when the next one is over.
///
/// # Errors
/// Fails when the database does.
pub async fn expire(app: &AppState, now: i64) -> Result<Option<i64>, ApiError> {
    if app.db.read(move |c| store::any_over(c, now)).await? {
        let end = move |c: &Conn<'_>| {
            store::forget(c, now - KEEP_MS)?;
            store::expire(c, now)
        };
        for command in app.db.write(end).await? {
            app.control.waiters.wake(&command.id);
            if let Some(device) = app.devices.get(command.device) {
                announce(app, &device, &command);
            }
        }
    }
    Ok(app.db.read(store::next_over).await?)
}

fn pending(command: &Command) -> PendingCommand {
    PendingCommand {
        id: command.id.clone(),
        name: command.name.clone(),
        params: command.params.clone(),
        expires_at: command.expires_at,
    }
}

fn announce(app: &AppState, device: &Arc<Device>, command: &Command) {
    let view = CommandView::new(device, command.clone());
    if let Ok(command) = serde_json::to_value(view) {
        let device = device.clone();
        live::publish(app, live::Event::Command { device, command });
    }
}
