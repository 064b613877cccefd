//! Event streams for browsers and scripts: what the app socket says, over plain HTTP, one way.
//!
//! `EventSource` cannot send headers. A page uses its cookie, or buys a ticket: one connection, within
//! seconds, and worthless in a log afterwards.

use super::hub::{self, Selection, Watching};
use super::signal::End;
use super::{admission, frame, notifications};
use crate::error::Problem;
use crate::http::{Json, Query};
use crate::identity::{Caller, Identified, Principal, Revoked};
use crate::{ApiError, AppState, random};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;
use utoipa::{IntoParams, ToSchema};

/// How long a ticket waits for its connection, milliseconds.
const TICKET_MS: i64 = 30_000;

/// Tickets that may wait; each is gone after [`TICKET_MS`].
const MAX_TICKETS: usize = 10_000;

/// Unread notifications with which a stream begins.
const INITIAL: i64 = 10;

/// Bytes of events written at once; what waits beyond is written when the reader has taken these.
const CHUNK: usize = 64 * 1024;

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
/// 30 seconds.
#[utoipa::path(
    get, path = "/events/stream", tag = "live", params(StreamQuery),
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
    Query(query): Query<StreamQuery>,
) -> Result<Response, ApiError> {
    let caller = reader(&app, identified, query.ticket, "/events/stream")?;
    let selection = Selection {
        notifications: false,
        ..Selection::all()
    };
    let watching = watch(&app, caller, selection).await?;
    let hello = json!({"type": "connected", "message": "Global event stream connected"});
    Ok(stream(app, watching, &[hello]))
}

/// Streams the caller's notifications (server-sent events), beginning with the newest unread ones.
#[utoipa::path(
    get, path = "/notifications/stream", tag = "live", params(StreamQuery),
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
    Query(query): Query<StreamQuery>,
) -> Result<Response, ApiError> {
    let caller = reader(&app, identified, query.ticket, "/notifications/stream")?;
    let reader = caller.clone();
    let selection = Selection {
        notifications: true,
        ..Selection::default()
    };
    // Watching begins before the inbox is read: what comes between the two is told twice rather than never.
    let watching = watch(&app, caller, selection).await?;
    let unread = notifications::unread(&app, &reader, INITIAL).await?;
    let first = [
        json!({"type": "connected"}),
        json!({"type": "initial", "notifications": unread}),
    ];
    Ok(stream(app, watching, &first))
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

/// The answer that never ends by itself.
fn stream(app: AppState, watching: Watching, first: &[serde_json::Value]) -> Response {
    let mut hello = String::new();
    for event in first {
        push(&mut hello, &frame::json_text(event));
    }
    let state = (app, watching, Some(hello));
    let body = futures_util::stream::unfold(state, |(app, watching, hello)| async move {
        let chunk = match hello {
            Some(hello) => hello,
            None => next(&watching).await?,
        };
        // Written counts as heard: the sweep asks for a comment when nothing was written for a while.
        watching.signal.heard(app.clock.now_ms());
        let chunk = Ok::<_, Infallible>(Bytes::from(chunk));
        Some((chunk, (app, watching, None)))
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
async fn next(watching: &Watching) -> Option<String> {
    loop {
        if watching.signal.ended().is_some() {
            return None;
        }
        let mut chunk = String::new();
        while chunk.len() < CHUNK
            && let Some(text) = watching.pop()
        {
            push(&mut chunk, &text);
        }
        if chunk.is_empty() && watching.signal.take_ping() {
            chunk.push_str(": keepalive\n\n");
        }
        if !chunk.is_empty() {
            return Some(chunk);
        }
        watching.signal.woken().await;
    }
}

/// Adds one event. JSON as we write it holds no line break, so that it is one line of data.
fn push(chunk: &mut String, json: &str) {
    chunk.push_str("data: ");
    chunk.push_str(json);
    chunk.push_str("\n\n");
}
