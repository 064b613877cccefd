//! The few lines of HTTP that the checks need: one request, one answer, connection closed. Not for anything but loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longer than any answer of an idle server takes, so that a hang is told and not waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// Returns the body when the status is the expected one.
    ///
    /// # Errors
    /// When it is another; the message holds the body.
    pub fn expect(self, status: u16) -> Result<String> {
        if self.status != status {
            bail!(
                "expected status {status}, got {}: {}",
                self.status,
                self.body
            );
        }
        Ok(self.body)
    }
}

/// Sends one request as HTTP/1.0, whose answers are never chunked and end with the connection.
///
/// # Errors
/// When the server cannot be reached, hangs, or answers something that is not HTTP.
pub fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let mut text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let request = [text.as_bytes(), body].concat();
    exchange(server, &request).with_context(|| format!("{method} {path}"))
}

fn exchange(server: SocketAddr, request: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .context("the server did not finish its answer")?;
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(answer: &str) -> Result<Answer> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer has no end of headers")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .context("the answer has no status")?;
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_status_and_body() {
        let answer =
            parse("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\na\r\n\r\nb").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "a\r\n\r\nb"));
        assert!(parse("HTTP/1.0 200 OK\r\n").is_err());
        assert!(parse("garbage\r\n\r\n").is_err());
        assert!(
            parse("HTTP/1.0 404 Not Found\r\n\r\nno")
                .unwrap()
                .expect(200)
                .unwrap_err()
                .to_string()
                .contains("404: no")
        );
    }
}
