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
    /// A WebSocket frame breaks the rules, or is longer than the buffer for it.
    Frame,
    /// A head to be sent does not fit its buffer.
    TooLong,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            NetError::Name => "the name of the server has no address",
            NetError::Connect => "the server does not take connections",
            NetError::NoTrust => "the server wants TLS, but no certificate to trust is set",
            NetError::Tls(Some(refusal)) => return write!(f, "TLS: {refusal}"),
            NetError::Tls(None) => "the TLS handshake failed",
            NetError::Broken => "the connection broke",
            NetError::Ended => "the connection ended early",
            NetError::TimedOut => "the server did not answer in time",
            NetError::Answer => "the answer is no HTTP or too long",
            NetError::Refused(status) => {
                return write!(f, "the server refused the socket with status {status}");
            }
            NetError::Frame => "a WebSocket frame is malformed or too long",
            NetError::TooLong => "the request does not fit its buffer",
        };
        f.write_str(text)
    }
}

impl core::error::Error for NetError {}
