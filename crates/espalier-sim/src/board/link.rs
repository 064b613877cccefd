//! What connects a board with the server at a moment, and waiting for what it brings.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use crate::net::{self, Answer, Socket};

pub(super) type Opened = Result<Box<Socket>, Option<u16>>;
pub(super) type Opening = Pin<Box<dyn Future<Output = Opened> + Send>>;
pub(super) type Requesting = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

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
}

/// Waits for whatever the network brings first.
pub(super) async fn next_event(link: &mut Link, request: &mut Option<Requesting>) -> Event {
    let answer = async {
        match request {
            Some(request) => request.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        event = next_on_link(link) => event,
        answer = answer => Event::Answered(answer),
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
