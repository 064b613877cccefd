//! The device socket `GET /ws/device`: telemetry up, desired state and commands down, acknowledgements.
//!
//! The messages are `espalier_wire::device`. One task per socket, no timer per socket, and no buffer that an
//! idle socket would keep: ten thousand sleeping boards must fit into a small machine.

mod links;
mod up;
mod work;

pub(super) use up::hear_post;

pub(super) use links::Links;

use self::links::{Link, Linked};
use self::up::Heard;
use self::work::Work;
use super::pace::{self, Bucket, Pace};
use super::signal::{self, End, Gone};
use super::{MAX_FRAME, admission};
use crate::control::{self, Desired, PendingCommand};
use crate::devices::{self, Device, Facts};
use crate::identity::{Identified, Principal};
use crate::ota::fleet::Running;
use crate::{ApiError, AppState};
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use espalier_model::DeviceId;
use espalier_wire::codes;
use espalier_wire::device::{Command, Down, StateMap, Up, write_state};
use espalier_wire::json::{Json, Text, Value};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Seconds between heartbeats that the server asks for.
const HEARTBEAT_S: u32 = 30;

/// How long a device may be silent before its connection counts as dead, milliseconds: several heartbeats,
/// and longer than a Wi-Fi access point needs to restart.
const DEVICE_SILENCE_MS: i64 = 150_000;

/// How long a socket that was opened without a token has for its first frame.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// How long accepted messages may take to finish when the connection ends.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Frames that are no messages before the socket is closed; a good frame takes one back.
const MAX_BAD: u32 = 32;

/// Serves one socket until it closes. `identified` is what the handshake carried.
pub(super) async fn run(app: AppState, mut socket: WebSocket, identified: Identified) {
    // Boxed: what the beginning needs must not stay in the task of a socket that lives for months.
    let (device, greeting) = match Box::pin(sign_in(&app, &mut socket, identified)).await {
        Ok(known) => known,
        Err(Some(end)) => return Box::pin(say_goodbye(socket, end)).await,
        Err(None) => return,
    };
    let link = links::connect(&app, device.id, device.token_digest);
    devices::seen(&app, &device);
    let mut session = Session {
        app,
        link,
        work: Work::default(),
        bad: 0,
        bucket: Bucket::default(),
        introduced: greeting.is_some(),
    };
    if let Some((facts, said)) = greeting.map(|greeting| *greeting) {
        up::introduce(&session.app, &device, facts, &mut session.work);
        up::tell_fleet(&session.app, &device, &said);
    }
    let end = match Box::pin(session.begin(&mut socket, &device)).await {
        Ok(()) => {
            drop(device);
            session.serve(&mut socket).await
        }
        Err(end) => end,
    };
    Box::pin(session.end(socket, end)).await;
}

/// What a first frame says of a board, and of the firmware that runs on it.
type Greeting = Box<(Facts, Running)>;

/// The device that the handshake or the first frame names, with what it says of itself in that frame.
async fn sign_in(
    app: &AppState,
    socket: &mut WebSocket,
    identified: Identified,
) -> Result<(Arc<Device>, Option<Greeting>), Option<End>> {
    let mut greeting = None;
    let principal = match identified {
        Identified::Known(principal) => principal,
        Identified::Unknown => return Err(Some(End::Unauthorized)),
        Identified::Nobody => {
            let hello = tokio::time::timeout(HELLO_WITHIN, first_frame(socket));
            let frame = hello.await.map_err(|_| Some(End::Unauthorized))??;
            let token = match Up::parse(&frame) {
                Ok(Up::Hello(hello)) => {
                    greeting = Some(Box::new((up::facts(&hello), up::said(&hello))));
                    hello.token
                }
                _ => None,
            };
            let token = token.ok_or(Some(End::Unauthorized))?.expose();
            admission::by_first_frame(app, &token.to_cow(), super::DEVICE_PATH).await?
        }
    };
    match principal {
        Principal::Device(device) => Ok((device, greeting)),
        Principal::Account(_) => Err(Some(End::Unauthorized)),
    }
}

async fn first_frame(socket: &mut WebSocket) -> Result<Utf8Bytes, Option<End>> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(Some(End::Unauthorized)),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
        }
    }
}

/// Tells a device in words that it can act on why its connection ends, then closes it.
async fn say_goodbye(mut socket: WebSocket, end: End) {
    let code = match end {
        End::Unauthorized | End::Forbidden => Some(codes::UNAUTHORIZED),
        End::Replaced => Some(codes::REPLACED),
        End::TooLarge => Some(codes::TOO_LARGE),
        End::Garbage => Some(codes::BAD_MESSAGE),
        End::Busy => Some(codes::UNAVAILABLE),
        End::Flood => Some(codes::RATE_LIMITED),
        End::Stopping | End::TooSlow | End::Silent => None,
    };
    if let Some(code) = code {
        let frame = up::error_frame(None, code, end.reason(), None);
        let sent = socket.send(Message::Text(frame));
        if !matches!(tokio::time::timeout(FINISH_WITHIN, sent).await, Ok(Ok(()))) {
            return;
        }
    }
    signal::close(socket, end).await;
}

struct Session {
    app: AppState,
    link: Linked,
    work: Work,
    bad: u32,
    bucket: Bucket,
    /// It has said what it is.
    introduced: bool,
}

impl Session {
    /// Welcomes the device and hands it everything that waits for it.
    async fn begin(
        &mut self,
        socket: &mut WebSocket,
        device: &Arc<Device>,
    ) -> Result<(), Option<End>> {
        let oid = device.oid.to_string();
        let welcome = Down::Welcome {
            device_id: Text::new(&oid),
            time: self.app.clock.now_ms(),
            heartbeat_s: HEARTBEAT_S,
        };
        feed(&self.link, socket, welcome.to_json().into()).await?;
        // The link is registered already: what is set from now on waits in its outbox, so that nothing
        // falls between the pending set and the first push.
        let parts = control::parts(&self.app, device).await.map_err(busy)?;
        for frame in parts.iter().filter_map(desired_frame) {
            feed(&self.link, socket, frame).await?;
        }
        let commands = control::pending_commands(&self.app, device.id, None)
            .await
            .map_err(busy)?;
        for command in &commands {
            feed(&self.link, socket, command_frame(command)).await?;
        }
        let sent: HashSet<&str> = commands.iter().map(|command| command.id.as_str()).collect();
        self.link.forget_commands(&sent);
        Ok(())
    }

    /// Moves frames until the connection ends; returns the reason when the server ends it.
    async fn serve(&mut self, socket: &mut WebSocket) -> Option<End> {
        let mut answer = None;
        loop {
            if let Err(Gone) = write(&self.link, socket, answer.take()).await {
                return self.link.signal.ended();
            }
            answer = tokio::select! {
                () = self.link.signal.woken() => None,
                Some(answer) = self.work.next(), if !self.work.is_empty() => answer,
                message = socket.recv(), if self.work.has_room() => match message {
                    Some(Ok(message)) => match self.hear(message) {
                        Ok(answer) => answer,
                        Err(end) => return end,
                    },
                    Some(Err(error)) => return too_large(&error).then_some(End::TooLarge),
                    None => return None,
                },
            };
        }
    }

    fn hear(&mut self, message: Message) -> Result<Option<Utf8Bytes>, Option<End>> {
        let now = self.app.clock.now_ms();
        self.link.signal.heard(now);
        // Asked at every frame: a renewed token or another owner counts from the next message on.
        let device = current(&self.app, &self.link).ok_or(Some(End::Unauthorized))?;
        match self
            .bucket
            .take(now, self.app.config.socket_frames_per_second)
        {
            Pace::Pass => {}
            Pace::Refuse(wait_ms) => return self.too_fast(&device, &message, wait_ms),
            Pace::End => return Err(Some(End::Flood)),
        }
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return Ok(None),
            Message::Binary(_) => {
                let why = "send JSON text frames";
                return self.wrong(up::error_frame(None, codes::BAD_MESSAGE, why, None));
            }
            Message::Close(_) => return Err(None),
        };
        if text.len() > MAX_FRAME {
            return Err(Some(End::TooLarge));
        }
        devices::seen(&self.app, &device);
        match up::hear(
            &self.app,
            &device,
            &text,
            &mut self.work,
            &mut self.introduced,
        ) {
            Heard::Taken => {
                self.bad = self.bad.saturating_sub(1);
                Ok(None)
            }
            Heard::Answer(text) => Ok(Some(text)),
            Heard::Wrong(text) => self.wrong(text),
            Heard::End(end) => Err(Some(end)),
        }
    }

    /// Refuses a frame that came too soon, by its id, so that the device sends it again.
    fn too_fast(
        &self,
        device: &Arc<Device>,
        message: &Message,
        wait_ms: u32,
    ) -> Result<Option<Utf8Bytes>, Option<End>> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(None),
            Message::Ping(_) | Message::Pong(_) | Message::Binary(_) => return Ok(None),
        };
        devices::seen(&self.app, device);
        self.app.ops.metrics.frame_refused("device");
        let why = pace::sentence(self.app.config.socket_frames_per_second);
        let id = Up::peek_id(text);
        Ok(Some(up::error_frame(
            id,
            codes::RATE_LIMITED,
            &why,
            Some(wait_ms),
        )))
    }

    fn wrong(&mut self, answer: Utf8Bytes) -> Result<Option<Utf8Bytes>, Option<End>> {
        self.bad += 1;
        if self.bad > MAX_BAD {
            return Err(Some(End::Garbage));
        }
        Ok(Some(answer))
    }

    /// Finishes what was taken from the device, says why, and closes.
    async fn end(self, mut socket: WebSocket, end: Option<End>) {
        let Self { link, mut work, .. } = self;
        let open = !matches!(end, None | Some(End::TooSlow | End::Silent));
        let finish = async {
            while let Some(answer) = work.next().await {
                if let (true, Some(text)) = (open, answer)
                    && socket.send(Message::Text(text)).await.is_err()
                {
                    // The other side is gone; what it sent is still finished.
                    continue;
                }
            }
        };
        if tokio::time::timeout(FINISH_WITHIN, finish).await.is_err() {
            tracing::warn!(
                "messages of a device took too long to finish when its connection ended"
            );
        }
        drop(link);
        if let Some(end) = end {
            say_goodbye(socket, end).await;
        }
    }
}

/// What waits for a device could not be read.
fn busy(error: ApiError) -> Option<End> {
    tracing::error!(
        error = error.cause(),
        "what waits for a device could not be read"
    );
    Some(End::Busy)
}

async fn feed(link: &Link, socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), Option<End>> {
    signal::feed(socket, &link.signal, Message::Text(text))
        .await
        .map_err(|Gone| link.signal.ended())
}

/// Writes an answer, then everything that waits.
async fn write(link: &Link, socket: &mut WebSocket, answer: Option<Utf8Bytes>) -> Result<(), Gone> {
    let signal = &link.signal;
    if signal.ended().is_some() {
        return Err(Gone);
    }
    if let Some(text) = answer {
        signal::feed(socket, signal, Message::Text(text)).await?;
    }
    while let Some(text) = link.pop() {
        signal::feed(socket, signal, Message::Text(text)).await?;
    }
    if signal.take_ping() {
        signal::feed(socket, signal, Message::Ping(Default::default())).await?;
    }
    signal::flush(socket, signal).await
}

/// The device as it is now, when the token that opened this connection still is its token.
fn current(app: &AppState, link: &Link) -> Option<Arc<Device>> {
    app.devices
        .get(link.device)
        .filter(|device| device.token_digest == link.digest)
}

fn too_large(error: &axum::Error) -> bool {
    // The socket's own limit lies above ours; its error type is not part of axum's interface.
    error.to_string().contains("too long")
}

/// The frame of a set of desired values; nothing when there are none.
fn desired_frame(desired: &BTreeMap<String, Desired>) -> Option<Utf8Bytes> {
    if desired.is_empty() {
        return None;
    }
    let values: Vec<String> = desired.values().map(|d| d.value.to_string()).collect();
    let entries = desired.iter().zip(&values);
    let entries = entries.filter_map(|((key, desired), value)| {
        let json = Json::parse(value).ok()?;
        Some((key.as_str(), Value::Json(json), desired.version))
    });
    let mut state = String::new();
    write_state(&mut state, entries).ok()?;
    let state = StateMap::check(Json::parse(&state).ok()?).ok()?;
    Some(Down::Desired { state }.to_json().into())
}

fn command_frame(command: &PendingCommand) -> Utf8Bytes {
    let params = command.params.to_string();
    let params = Json::parse(&params).ok().filter(|p| p.members().is_some());
    let command = Command {
        id: Text::new(&command.id),
        name: Text::new(&command.name),
        params: params.unwrap_or(Json::EMPTY_OBJECT),
        expires_at: command.expires_at,
    };
    Down::Command(command).to_json().into()
}

/// Pushes desired values to a connected device.
pub(super) fn push_desired(
    app: &AppState,
    device: DeviceId,
    desired: &BTreeMap<String, Desired>,
) -> bool {
    // Asked first: most devices that something is set for have no socket, and then no frame is written.
    let links = &app.live.links;
    if links.get(device).is_none() {
        return false;
    }
    let parts = control::split(desired.clone());
    let mut frames = parts.iter().filter_map(desired_frame).peekable();
    frames.peek().is_some() && frames.all(|frame| links.push(device, None, frame))
}

/// Pushes a command to a connected device.
pub(super) fn push_command(app: &AppState, device: DeviceId, command: &PendingCommand) -> bool {
    let links = &app.live.links;
    links.get(device).is_some() && links.push(device, Some(&command.id), command_frame(command))
}

/// Tells a connected device that there may be an image for it.
pub(super) fn nudge(app: &AppState, device: DeviceId) -> bool {
    let links = &app.live.links;
    links.get(device).is_some() && links.push(device, None, Down::Update.to_json().into())
}

/// Ends a device's connection when the device is gone or its token was renewed.
pub(super) fn recheck(app: &AppState, device: DeviceId) {
    if let Some(link) = app.live.links.get(device)
        && current(app, &link).is_none()
    {
        link.signal.finish(End::Unauthorized);
    }
}

/// Ends connections that are dead or no longer permitted, and asks quiet ones for a sign of life.
pub(super) fn sweep(app: &AppState) {
    let now = app.clock.now_ms();
    for link in app.live.links.all() {
        let silent = link.signal.silent_for(now);
        if current(app, &link).is_none() {
            link.signal.finish(End::Unauthorized);
        } else if silent >= DEVICE_SILENCE_MS {
            link.signal.finish(End::Silent);
        } else if silent >= DEVICE_SILENCE_MS / 2 {
            link.signal.ask_ping();
        }
    }
}
