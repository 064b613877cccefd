//! What connects a board with the server at a moment, and waiting for what it brings.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until};

use crate::net::{self, Answer, Body, Socket};

pub(super) type Opened = Result<Box<Socket>, Option<u16>>;
pub(super) type Opening = Pin<Box<dyn Future<Output = Opened> + Send>>;
pub(super) type Requesting = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

pub(super) type Beginning = Pin<Box<dyn Future<Output = Option<Body>> + Send>>;

/// Bytes of a download that are handed over at once.
const PIECE: usize = 4096;

/// A download that is on its way.
pub(super) enum Download {
    Opening(Beginning),
    Open(Box<Body>),
}

/// The socket of a board.
pub(super) enum Link {
    None,
    Opening(Opening),
    Open(Box<Socket>),
}

/// What the network brought.
pub(super) enum Event {
    Opened(Opened),
    Text(String),
    Closed,
    Answered(Option<Answer>),
    Bytes(Vec<u8>),
    /// The download has ended: status and seconds to wait.
    Downloaded(Option<u16>, Option<u32>),
}

/// Waits for whatever the network brings first.
pub(super) async fn next_event(
    link: &mut Link,
    request: &mut Option<Requesting>,
    download: &mut Option<Download>,
) -> Event {
    let answer = async {
        match request {
            Some(request) => request.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        event = next_on_link(link) => event,
        answer = answer => Event::Answered(answer),
        event = next_bytes(download) => event,
    }
}

async fn next_bytes(download: &mut Option<Download>) -> Event {
    let Some(download) = download else {
        return std::future::pending().await;
    };
    if let Download::Opening(opening) = download {
        match opening.await {
            Some(body) => *download = Download::Open(Box::new(body)),
            None => return Event::Downloaded(None, None),
        }
    }
    let Download::Open(body) = download else {
        return std::future::pending().await;
    };
    let end = Event::Downloaded(Some(body.status), body.retry_after_s);
    if body.left == 0 {
        return end;
    }
    let most = usize::try_from(body.left).unwrap_or(PIECE).min(PIECE);
    sleep_until(body.ready_at).await;
    let mut bytes = vec![0; most];
    match body.stream.read(&mut bytes).await {
        Ok(count) if count > 0 => {
            bytes.truncate(count);
            body.left -= count as u64;
            let takes = body
                .rate
                .map_or(0.0, |rate| count as f64 / f64::from(rate.max(1)));
            body.ready_at = Instant::now() + Duration::from_secs_f64(takes);
            Event::Bytes(bytes)
        }
        _ => end,
    }
}

async fn next_on_link(link: &mut Link) -> Event {
    match link {
        Link::None => std::future::pending().await,
        Link::Opening(opening) => Event::Opened(opening.await),
        Link::Open(socket) => loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return Event::Text(text.as_str().to_owned()),
                Some(Ok(message)) if !net::is_close(&message) => {}
                _ => return Event::Closed,
            }
        },
    }
}
