//! What the rest of the server says to one open connection: look at your queue, send a ping, or end.
//!
//! One small struct per connection and no timer: a sweep in [`super::tick`] watches the clock for all of them.

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a connection may take to receive its close frame and answer it; it is dropped after that.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// The same for one that was too slow: what is in the network's buffers comes before the close frame.
const SLOW_GRACE: Duration = Duration::from_secs(30);

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum End {
    /// The server stops; connect again.
    Stopping = 1,
    /// The credential is missing, wrong, expired or revoked.
    Unauthorized,
    /// The same device has opened a newer connection.
    Replaced,
    /// The reader does not read.
    TooSlow,
    /// Nothing was heard for too long.
    Silent,
    /// Frame after frame was wrong.
    Garbage,
    /// A frame was larger than the limit.
    TooLarge,
    /// The server cannot serve it now; try again.
    Busy,
    /// The credential is good, but its scope does not cover this.
    Forbidden,
    /// It sent too many frames for too long.
    Flood,
}

impl End {
    const ALL: [Self; 10] = [
        Self::Stopping,
        Self::Unauthorized,
        Self::Replaced,
        Self::TooSlow,
        Self::Silent,
        Self::Garbage,
        Self::TooLarge,
        Self::Busy,
        Self::Forbidden,
        Self::Flood,
    ];

    /// The close code: RFC 6455 where it has one, 44xx for what mirrors an HTTP status.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Stopping => 1001,
            Self::Silent | Self::Garbage | Self::Flood => 1008,
            Self::TooLarge => 1009,
            Self::TooSlow | Self::Busy => 1013,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::Replaced => 4409,
        }
    }

    /// The reason for people; a close frame has room for 123 bytes.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Stopping => "the server is stopping; connect again",
            Self::Unauthorized => "the token is missing, wrong, expired or revoked",
            Self::Forbidden => "this token may not open this; it needs the scope `read`",
            Self::Replaced => "replaced by a newer connection of the same device",
            Self::TooSlow => "too slow: events were not read in time",
            Self::Silent => "nothing was heard for too long; send a ping in time",
            Self::Garbage => "too many frames that are no messages",
            Self::Flood => "too many frames for too long; send fewer",
            Self::TooLarge => "a frame was larger than 65536 bytes",
            Self::Busy => "the server cannot serve this now; try again in a moment",
        }
    }
}

/// The shared half of a connection.
pub(super) struct Signal {
    end: AtomicU8,
    ping: AtomicBool,
    heard_ms: AtomicI64,
    wake: Notify,
    /// Apart from `wake`: who waits for the end while writing must not use up a wake-up for the queue.
    over: Notify,
}

impl Signal {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            end: AtomicU8::new(0),
            ping: AtomicBool::new(false),
            heard_ms: AtomicI64::new(now_ms),
            wake: Notify::new(),
            over: Notify::new(),
        }
    }

    /// Ends the connection; the first reason stays. Returns whether this was the first.
    pub(super) fn finish(&self, end: End) -> bool {
        let first = self
            .end
            .compare_exchange(0, end as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.wake.notify_one();
        self.over.notify_one();
        first.is_ok()
    }

    /// Why the connection must end, when it must.
    pub(super) fn ended(&self) -> Option<End> {
        let value = self.end.load(Ordering::SeqCst);
        End::ALL.into_iter().find(|end| *end as u8 == value)
    }

    /// Tells the connection that its queue has something.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until there may be something to do. Look before waiting: a wake-up is not lost, but one may
    /// stand for many.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Notes that the other side was heard.
    pub(super) fn heard(&self, now_ms: i64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Milliseconds since the other side was heard.
    pub(super) fn silent_for(&self, now_ms: i64) -> i64 {
        now_ms - self.heard_ms.load(Ordering::Relaxed)
    }

    /// Asks the connection to send a ping, unless one is waiting to be sent.
    pub(super) fn ask_ping(&self) {
        if !self.ping.swap(true, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    /// Takes the request to send a ping.
    pub(super) fn take_ping(&self) -> bool {
        self.ping.swap(false, Ordering::Relaxed)
    }

    async fn must_end(&self) {
        while self.ended().is_none() {
            self.over.notified().await;
        }
    }
}

/// The connection is over; nothing more can be written.
#[derive(Debug)]
pub(super) struct Gone;

/// Puts one message into the socket's buffer. It gives up when the connection must end meanwhile, so that a
/// reader that stopped reading cannot hold its task.
pub(super) async fn feed(
    socket: &mut WebSocket,
    signal: &Signal,
    message: Message,
) -> Result<(), Gone> {
    tokio::select! {
        sent = socket.feed(message) => sent.map_err(|_| Gone),
        () = signal.must_end() => Err(Gone),
    }
}

/// Writes the socket's buffer to the network; gives up as [`feed`] does.
pub(super) async fn flush(socket: &mut WebSocket, signal: &Signal) -> Result<(), Gone> {
    tokio::select! {
        sent = socket.flush() => sent.map_err(|_| Gone),
        () = signal.must_end() => Err(Gone),
    }
}

/// Says why, waits shortly for the answer, and drops the connection.
pub(super) async fn close(mut socket: WebSocket, end: End) {
    let frame = CloseFrame {
        code: end.code(),
        reason: end.reason().into(),
    };
    let goodbye = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // Reading what is still on its way keeps the kernel from resetting the connection before the
            // other side has seen the close frame.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let grace = match end {
        End::TooSlow => SLOW_GRACE,
        _ => CLOSE_GRACE,
    };
    let _ = tokio::time::timeout(grace, goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_a_close_frame_and_read_back() {
        for end in End::ALL {
            assert!(end.reason().len() <= 123);
            let signal = Signal::new(0);
            assert_eq!(signal.ended(), None);
            signal.finish(end);
            signal.finish(End::Stopping);
            assert_eq!(signal.ended(), Some(end));
        }
    }
}
