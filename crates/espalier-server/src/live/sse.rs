//! Event streams for browsers and scripts: what the app socket says, over plain HTTP, one way.
//!
//! `EventSource` cannot send headers. A page uses its cookie, or buys a ticket: one connection, within
//! seconds, and worthless in a log afterwards.

use super::hub::{self, Selection, Watching};
use super::replay::{EventId, Kept, Lane, Reading};
use super::signal::End;
use super::{admission, frame, notifications};
use crate::error::Problem;
use crate::http::{Json, Query};
use crate::identity::{self, Caller, Identified, Principal, Revoked};
use crate::{ApiError, AppState, devices, random};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::Utf8Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use utoipa::{IntoParams, ToSchema};

/// How long a ticket waits for its connection, milliseconds.
const TICKET_MS: i64 = 30_000;

/// Tickets that may wait; each is gone after [`TICKET_MS`].
const MAX_TICKETS: usize = 10_000;

/// Unread notifications with which a stream begins.
const INITIAL: i64 = 10;

/// Bytes of events written at once; what waits beyond is written when the reader has taken these.
const CHUNK: usize = 64 * 1024;

/// What a client is told that was away for too long.
const RESYNC: &str = r#"{"type":"resync","message":"Too much happened while you were away, or the server was restarted; load everything again."}"#;

/// Tickets that nobody used yet, by digest.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<[u8; 32], (Caller, i64)>>);

impl Tickets {
    fn issue(&self, caller: Caller, now: i64) -> Result<String, ApiError> {
        let ticket = random::secret("esp_ticket_");
        let mut waiting = self.0.lock();
        waiting.retain(|_, (_, until)| *until > now);
        if waiting.len() >= MAX_TICKETS {
            let why = "Too many tickets are waiting; try again in a moment.";
            return Err(ApiError::busy(why, 5));
        }
        waiting.insert(random::digest(&ticket), (caller, now + TICKET_MS));
        Ok(ticket)
    }

    /// Forgets the tickets of whose credential ended.
    pub(super) fn revoke(&self, what: &Revoked) {
        self.0.lock().retain(|_, (caller, _)| !what.ends(caller));
    }

    fn redeem(&self, ticket: &str, now: i64) -> Option<Caller> {
        let (caller, until) = self.0.lock().remove(&random::digest(ticket))?;
        (until > now).then_some(caller)
    }
}

/// A ticket for one event stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ticket {
    /// What to send as `?ticket=`; it opens one stream once.
    ticket: String,
    /// Seconds within which it must be used.
    expires_in: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// A ticket from `POST /events/ticket`, for clients that cannot send headers.
    ticket: Option<String>,
    /// The id of the last event that the client got, for clients that cannot send the header `Last-Event-ID`.
    last_event_id: Option<String>,
}

/// Issues a ticket for one event stream.
#[utoipa::path(
    post, path = "/events/ticket", tag = "live",
    responses(
        (status = 200, body = Ticket),
        (status = 401, body = Problem, description = "Not signed in."),
        (status = 503, body = Problem, description = "Too many tickets are waiting."),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn ticket(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<Ticket>, ApiError> {
    Ok(Json(Ticket {
        ticket: app.live.tickets.issue(caller, app.clock.now_ms())?,
        expires_in: TICKET_MS / 1_000,
    }))
}

/// Streams what happens to the caller's devices and dashboards (server-sent events).
///
/// Each event's data is the JSON of a message of the app socket. A comment keeps the connection alive every
/// 30 seconds. A client that comes back with `Last-Event-ID`, as browsers do, gets what it missed; when that is
/// not known any more, a message of the type `resync` tells it to load everything again.
#[utoipa::path(
    get, path = "/events/stream", tag = "live",
    params(StreamQuery, ("last-event-id" = Option<String>, Header, description = "The id of the last event that the client got.")),
    responses(
        (status = 200, description = "Events until the client leaves.", content_type = "text/event-stream", body = String),
        (status = 401, body = Problem, description = "Not signed in, or the ticket was used or is too old."),
        (status = 403, body = Problem, description = "A device asks, or the API key lacks the scope `read`."),
    ),
    security(("bearer" = []), ()),
)]
pub(super) async fn events(
    State(app): State<AppState>,
    Extension(identified): Extension<Identified>,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Response, ApiError> {
    let last = last_event(&headers, &query);
    let caller = reader(&app, identified, query.ticket, "/events/stream")?;
    let selection = Selection {
        notifications: false,
        ..Selection::all()
    };
    let stream = Stream::open(&app, caller, selection, Lane::Events, last).await?;
    let hello = json!({"type": "connected", "message": "Global event stream connected"});
    Ok(stream.respond(&[hello], &[]))
}

/// Streams the caller's notifications (server-sent events), beginning with the newest unread ones.
///
/// A client that comes back with `Last-Event-ID` gets what it missed instead; when that is not known any more, a
/// message of the type `resync` comes before the newest unread ones.
#[utoipa::path(
    get, path = "/notifications/stream", tag = "live",
    params(StreamQuery, ("last-event-id" = Option<String>, Header, description = "The id of the last event that the client got.")),
    responses(
        (status = 200, description = "Events until the client leaves.", content_type = "text/event-stream", body = String),
        (status = 401, body = Problem, description = "Not signed in, or the ticket was used or is too old."),
        (status = 403, body = Problem, description = "A device asks, or the API key lacks the scope `read`."),
    ),
    security(("bearer" = []), ()),
)]
pub(super) async fn notifications(
    State(app): State<AppState>,
    Extension(identified): Extension<Identified>,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Response, ApiError> {
    let last = last_event(&headers, &query);
    let caller = reader(&app, identified, query.ticket, "/notifications/stream")?;
    let reader = caller.clone();
    let selection = Selection {
        notifications: true,
        ..Selection::default()
    };
    // Watching begins before the inbox is read: what comes between the two is told twice rather than never.
    let stream = Stream::open(&app, caller, selection, Lane::Notifications, last).await?;
    let unread = notifications::unread(&app, &reader, INITIAL).await?;
    let initial = json!({"type": "initial", "notifications": unread});
    Ok(stream.respond(&[json!({"type": "connected"})], &[initial]))
}

/// Who reads: the one who asks, or who bought the ticket.
fn reader(
    app: &AppState,
    identified: Identified,
    ticket: Option<String>,
    path: &'static str,
) -> Result<Caller, ApiError> {
    match (identified, ticket) {
        (Identified::Known(Principal::Account(caller)), _) => Ok(caller),
        (Identified::Known(Principal::Device(_)), _) => Err(ApiError::forbidden(
            "A device token cannot be used here; sign in as a person.",
        )),
        (Identified::Nobody, Some(ticket)) => app
            .live
            .tickets
            .redeem(&ticket, app.clock.now_ms())
            .ok_or_else(|| {
                ApiError::unauthorized(
                    "The ticket was used already or is too old; ask for another.",
                )
            })
            .and_then(|caller| admission::by_ticket(caller, path)),
        (Identified::Nobody, None) => Err(ApiError::unauthorized(
            "Not authenticated; send `Authorization: Bearer <token>`, or `?ticket=` from POST /events/ticket.",
        )),
        (Identified::Unknown, _) => Err(ApiError::unauthorized(
            "The credential is wrong, expired or revoked; sign in again.",
        )),
    }
}

async fn watch(app: &AppState, caller: Caller, selection: Selection) -> Result<Watching, ApiError> {
    hub::watch(app, caller, selection, false)
        .await
        .map_err(|end| match end {
            End::Unauthorized => ApiError::unauthorized(end.reason()),
            _ => ApiError::busy(end.reason(), 1),
        })
}

/// The id that the client got last: in the header, as browsers send it, or in the query.
fn last_event(headers: &HeaderMap, query: &StreamQuery) -> Option<String> {
    let header = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let mut given = [header, query.last_event_id.as_deref()]
        .into_iter()
        .flatten();
    given.find(|id| !id.trim().is_empty()).map(str::to_owned)
}

/// How a stream begins.
enum Begin {
    /// Nobody was here before.
    Fresh,
    /// With what was missed.
    Resumed(Vec<Kept>),
    /// What was missed is not known any more.
    Resync,
}

/// One event stream.
struct Stream {
    app: AppState,
    watching: Watching,
    /// Nothing when too many accounts read streams; then events have no ids.
    reading: Option<Reading>,
    /// The place of the last event that was told.
    told: u64,
    begin: Begin,
}

impl Stream {
    async fn open(
        app: &AppState,
        caller: Caller,
        selection: Selection,
        lane: Lane,
        last: Option<String>,
    ) -> Result<Self, ApiError> {
        let reading = Reading::begin(app, caller.account);
        // Asked before watching begins: everything that comes to the reader's queue has a later place.
        let newest = reading.as_ref().map_or(0, Reading::newest);
        let watching = watch(app, caller, selection).await?;
        // Asked after it: what is missing here comes to the queue, and what is in both is told once.
        let missed = last
            .as_deref()
            .and_then(EventId::parse)
            .and_then(|id| reading.as_ref()?.after(lane, id));
        let (begin, told) = match (last, missed) {
            (None, _) => (Begin::Fresh, newest),
            (Some(_), None) => (Begin::Resync, newest),
            (Some(_), Some((mut missed, told))) => {
                missed.retain(|kept| may_hear(app, &watching.caller, kept));
                (Begin::Resumed(missed), told)
            }
        };
        Ok(Self {
            app: app.clone(),
            watching,
            reading,
            told,
            begin,
        })
    }

    /// The events with which the stream begins: always those of `hello`, and those of `initial` unless the
    /// client goes on where it was.
    fn first(&mut self, hello: &[Value], initial: &[Value]) -> String {
        let begin = std::mem::replace(&mut self.begin, Begin::Fresh);
        let mut texts: Vec<Utf8Bytes> = hello.iter().map(frame::json_text).collect();
        let mut chunk = String::new();
        if let Begin::Resumed(missed) = begin {
            for text in texts {
                push(&mut chunk, None, &text);
            }
            for kept in missed {
                push(&mut chunk, self.id(kept.seq), &kept.text);
            }
            return chunk;
        }
        if matches!(begin, Begin::Resync) {
            texts.push(Utf8Bytes::from_static(RESYNC));
        }
        texts.extend(initial.iter().map(frame::json_text));
        let last = texts.len().saturating_sub(1);
        for (at, text) in texts.iter().enumerate() {
            // With the last of them the client knows where it is, also when nothing happens for long.
            let id = self.id(self.told).filter(|_| at == last);
            push(&mut chunk, id, text);
        }
        chunk
    }

    fn id(&self, seq: u64) -> Option<EventId> {
        self.reading.as_ref().map(|reading| reading.id(seq))
    }

    /// The answer, which never ends by itself.
    fn respond(mut self, hello: &[Value], initial: &[Value]) -> Response {
        let first = Some(self.first(hello, initial));
        let body = futures_util::stream::unfold((self, first), |(mut stream, first)| async move {
            let chunk = match first {
                Some(first) => first,
                None => stream.next().await?,
            };
            // Written counts as heard: the sweep asks for a comment when nothing was written for a while.
            stream.watching.signal.heard(stream.app.clock.now_ms());
            Some((Ok::<_, Infallible>(Bytes::from(chunk)), (stream, None)))
        });
        let mut response = Response::new(Body::from_stream(body));
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE.as_str(), "text/event-stream"),
            (header::CACHE_CONTROL.as_str(), "no-cache"),
            // Proxies that collect answers before they pass them on must not do so here.
            ("x-accel-buffering", "no"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// Waits for events and returns those that fit into one chunk; nothing when the stream must end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.watching.signal.ended().is_some() {
                return None;
            }
            let mut chunk = String::new();
            while chunk.len() < CHUNK
                && let Some((seq, text)) = self.watching.pop()
            {
                // 0: nothing is kept for this account, and nothing was told twice.
                if seq == 0 || seq > self.told {
                    self.told = self.told.max(seq);
                    push(&mut chunk, self.id(seq).filter(|id| id.seq > 0), &text);
                }
            }
            if chunk.is_empty() && self.watching.signal.take_ping() {
                chunk.push_str(": keepalive\n\n");
            }
            if !chunk.is_empty() {
                return Some(chunk);
            }
            self.watching.signal.woken().await;
        }
    }
}

/// Tells whether a caller may see now what an event is about; what it could see earlier is not told again.
fn may_hear(app: &AppState, caller: &Caller, kept: &Kept) -> bool {
    let Some(id) = kept.device else { return true };
    app.devices.get(id).is_some_and(|device| {
        device.audience().any(|who| who == caller.account)
            && (identity::by_default(app) || devices::may_watch(app, caller, &device, kept.values))
    })
}

/// Adds one event. JSON as we write it holds no line break, so that it is one line of data.
fn push(chunk: &mut String, id: Option<EventId>, json: &str) {
    if let Some(id) = id {
        let _ = writeln!(chunk, "id: {id}");
    }
    chunk.push_str("data: ");
    chunk.push_str(json);
    chunk.push_str("\n\n");
}
