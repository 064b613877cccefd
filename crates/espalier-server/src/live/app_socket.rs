//! The app socket `GET /ws`: an app hears its account's events and says what it wants to hear. Devices cannot
//! use it ([`super::device_socket`]).

use super::hub::{self, Selection, Watching};
use super::pace::{self, Bucket, Pace};
use super::signal::{self, End, Gone};
use super::{admission, frame};
use crate::AppState;
use crate::clock::iso;
use crate::devices;
use crate::identity::{Caller, Identified, Principal};
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use espalier_model::Action;
use espalier_wire::app::{ClientMessage, ServerMessage};
use espalier_wire::codes;
use serde_json::Value;
use std::time::Duration;

/// How long a socket that was opened without a token has for its first frame.
const AUTH_WITHIN: Duration = Duration::from_secs(10);

/// Frames that are no messages before the socket is closed; a good frame takes one back.
const MAX_BAD: u32 = 32;

/// Channels in one subscription; beyond that `devices` is meant.
const MAX_CHANNELS: usize = 1_000;

/// Serves one socket until it closes. `identified` is what the handshake carried.
pub(super) async fn run(app: AppState, mut socket: WebSocket, identified: Identified) {
    let caller = match sign_in(&app, &mut socket, identified).await {
        Ok(caller) => caller,
        Err(Some(end)) => return signal::close(socket, end).await,
        Err(None) => return,
    };
    let watching = match hub::watch(&app, caller, Selection::all(), true).await {
        Ok(watching) => watching,
        Err(end) => return signal::close(socket, end).await,
    };
    if let Some(end) = serve(&app, &mut socket, &watching).await {
        drop(watching);
        signal::close(socket, end).await;
    }
}

/// The caller that the handshake or the first frame names; without one the reason to close, or nothing when
/// the socket is gone already.
async fn sign_in(
    app: &AppState,
    socket: &mut WebSocket,
    identified: Identified,
) -> Result<Caller, Option<End>> {
    let principal = match identified {
        Identified::Known(principal) => principal,
        Identified::Unknown => return Err(Some(End::Unauthorized)),
        Identified::Nobody => {
            let token = tokio::time::timeout(AUTH_WITHIN, first_token(socket))
                .await
                .map_err(|_| Some(End::Unauthorized))??;
            admission::by_first_frame(app, &token, super::APP_PATH).await?
        }
    };
    match principal {
        Principal::Account(caller) => Ok(caller),
        Principal::Device(_) => Err(Some(End::Unauthorized)),
    }
}

async fn first_token(socket: &mut WebSocket) -> Result<String, Option<End>> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => {
                return match serde_json::from_str(&text) {
                    Ok(ClientMessage::Auth { token }) => Ok(token),
                    _ => Err(Some(End::Unauthorized)),
                };
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(Some(End::Unauthorized)),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
        }
    }
}

/// Moves events out and messages in until the socket ends; returns the reason when the server ends it.
async fn serve(app: &AppState, socket: &mut WebSocket, watching: &Watching) -> Option<End> {
    let hello = frame::text(&ServerMessage::<Value>::Connected {
        message: "Connected".to_owned(),
        timestamp: Some(iso(app.clock.now_ms())),
    });
    let mut session = Session {
        app,
        watching,
        bad: 0,
        bucket: Bucket::default(),
    };
    let mut reply = Some(hello);
    loop {
        match session.write(socket, reply.take()).await {
            Ok(()) => {}
            Err(Gone) => return watching.signal.ended(),
        }
        tokio::select! {
            () = watching.signal.woken() => {}
            message = socket.recv() => match message {
                Some(Ok(message)) => match session.hear(message) {
                    Ok(answer) => reply = answer,
                    Err(end) => return end,
                },
                Some(Err(_)) | None => return None,
            },
        }
    }
}

struct Session<'a> {
    app: &'a AppState,
    watching: &'a Watching,
    bad: u32,
    bucket: Bucket,
}

impl Session<'_> {
    /// Writes everything that waits, then the reply: who gets a pong has got what happened before the ping.
    async fn write(&self, socket: &mut WebSocket, reply: Option<Utf8Bytes>) -> Result<(), Gone> {
        let signal = &self.watching.signal;
        if signal.ended().is_some() {
            return Err(Gone);
        }
        while let Some((_, text)) = self.watching.pop() {
            signal::feed(socket, signal, Message::Text(text)).await?;
        }
        if let Some(text) = reply {
            signal::feed(socket, signal, Message::Text(text)).await?;
        }
        if signal.take_ping() {
            signal::feed(socket, signal, Message::Ping(Default::default())).await?;
        }
        signal::flush(socket, signal).await
    }

    /// Takes one message of the app and returns the answer, or the end.
    fn hear(&mut self, message: Message) -> Result<Option<Utf8Bytes>, Option<End>> {
        let now = self.app.clock.now_ms();
        self.watching.signal.heard(now);
        let rate = self.app.config.socket_frames_per_second;
        match (self.bucket.take(now, rate), &message) {
            (Pace::Pass, _) => {}
            (_, Message::Close(_)) => return Err(None),
            (Pace::Refuse(_), Message::Text(_)) => {
                self.app.ops.metrics.frame_refused("app");
                return Ok(Some(error(&pace::sentence(rate), codes::RATE_LIMITED)));
            }
            (Pace::Refuse(_), _) => return Ok(None),
            (Pace::End, _) => return Err(Some(End::Flood)),
        }
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return Ok(None),
            Message::Binary(_) => return self.refuse("Send JSON text frames.", codes::BAD_MESSAGE),
            Message::Close(_) => return Err(None),
        };
        if text.len() > super::MAX_FRAME {
            return Err(Some(End::TooLarge));
        }
        match serde_json::from_str(&text) {
            Ok(ClientMessage::Ping) => {
                self.bad = self.bad.saturating_sub(1);
                Ok(Some(frame::text(&ServerMessage::<Value>::Pong {
                    timestamp: iso(self.app.clock.now_ms()),
                })))
            }
            Ok(ClientMessage::Subscribe { channels }) => self.subscribe(channels),
            // Clients that send the token in the handshake and again are harmless.
            Ok(ClientMessage::Auth { .. }) => Ok(None),
            Err(_) => self.refuse(
                "Unknown message; send ping, subscribe or auth as a JSON object with a \"type\".",
                codes::UNKNOWN_TYPE,
            ),
        }
    }

    fn refuse(&mut self, why: &str, code: &str) -> Result<Option<Utf8Bytes>, Option<End>> {
        self.bad += 1;
        if self.bad > MAX_BAD {
            return Err(Some(End::Garbage));
        }
        Ok(Some(error(why, code)))
    }

    /// Narrows what this socket hears. A list with a name that is none of our channels comes from an
    /// existing client, for whom a subscription never narrowed anything: it keeps hearing everything.
    fn subscribe(&mut self, channels: Vec<String>) -> Result<Option<Utf8Bytes>, Option<End>> {
        if channels.len() > MAX_CHANNELS {
            return self.refuse(
                "Too many channels; use `devices` for all.",
                codes::TOO_LARGE,
            );
        }
        let caller = &self.watching.caller;
        let mut selection = Selection::default();
        let mut unknown = channels.is_empty();
        for channel in &channels {
            match channel.split_once(':') {
                None if channel == "devices" => selection.all_devices = true,
                None if channel == "notifications" => selection.notifications = true,
                None if channel == "rollouts" => selection.rollouts = true,
                None if channel == "admin" => {
                    if !admission::may_hear_admin(caller) {
                        let why = "Only an admin may hear `admin`, and an API key only with the scope `admin`.";
                        return self.refuse(why, codes::UNAUTHORIZED);
                    }
                    selection.admin = true;
                }
                Some(("device", id)) => {
                    let principal = Principal::Account(caller.clone());
                    match devices::require(self.app, &principal, id, Action::Read) {
                        Ok(device) => selection.devices.push(device.id),
                        Err(_) => {
                            let why = format!("{channel}: Device not found");
                            return self.refuse(&why, codes::INVALID_DATA);
                        }
                    }
                }
                Some(("dashboard", id)) => selection.dashboards.push(id.to_owned()),
                _ => unknown = true,
            }
        }
        if unknown {
            selection = Selection {
                admin: selection.admin,
                ..Selection::all()
            };
        }
        self.watching.select(selection);
        self.bad = self.bad.saturating_sub(1);
        Ok(Some(frame::text(&ServerMessage::<Value>::Subscribed {
            channels,
        })))
    }
}

fn error(why: &str, code: &str) -> Utf8Bytes {
    frame::text(&ServerMessage::<Value>::Error {
        message: why.to_owned(),
        code: Some(code.to_owned()),
    })
}
