//! Why the network did not do what was asked: one word for a log line. The core only hears that it failed, and with which status.

use core::fmt;

/// Why a connection or a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetError {
    /// The name of the server has no address.
    Name,
    /// The server did not take the connection.
    Connect,
    /// The server asked for is `https` and the board trusts nobody.
    NoTrust,
    /// The TLS handshake failed; with what the verifier said, when it was the verifier.
    Tls(Option<crate::tls::Refusal>),
    /// The connection broke.
    Broken,
    /// The connection ended in the middle.
    Ended,
    /// Nothing happened for too long.
    TimedOut,
    /// The answer is no HTTP, or longer than the buffer for it.
    Answer,
    /// The server does not speak WebSocket here; with its HTTP status.
    Refused(u16),
    /// A WebSocket frame breaks the rules.
    Frame,
    /// A message or an answer is longer than the buffer for it; it was left out, and the connection goes on.
    TooLarge,
    /// A head to be sent does not fit its buffer.
    TooLong,
}

impl NetError {
    /// Returns what is wrong in words for the person who sets the board up, without a full stop.
    pub const fn as_str(self) -> &'static str {
        match self {
            NetError::Name => "the name of the server has no address",
            NetError::Connect => "the server does not take connections",
            NetError::NoTrust => {
                "the server wants TLS, and the board was given neither a pin nor a certificate to believe"
            }
            NetError::Tls(Some(refusal)) => refusal.as_str(),
            NetError::Tls(None) => "the TLS handshake failed",
            NetError::Broken => "the connection broke",
            NetError::Ended => "the connection ended early",
            NetError::TimedOut => "the server did not answer in time",
            NetError::Answer => "the answer is no HTTP or too long",
            NetError::Refused(401 | 403) => "the server does not take this device id and token",
            NetError::Refused(_) => "the server refuses the socket",
            NetError::Frame => "a WebSocket frame is malformed",
            NetError::TooLarge => {
                "the server has sent more at once than this board can hold; it is left out"
            }
            NetError::TooLong => "the request does not fit its buffer",
        }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetError::Tls(Some(refusal)) => write!(f, "TLS: {refusal}"),
            NetError::Refused(status) => {
                write!(f, "the server refused the socket with status {status}")
            }
            other => f.write_str(other.as_str()),
        }
    }
}

impl core::error::Error for NetError {}
