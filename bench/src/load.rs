//! A small closed-loop HTTP load: each connection sends its next request when the answer to the last is whole.

use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends a whole request and reads the whole answer; fails unless it is a success, or 304.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(length) = whole(&self.buffer)?
                && self.buffer.len() >= length
            {
                break;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
        let fine = [&b"HTTP/1.1 2"[..], b"HTTP/1.1 304"];
        if !fine.iter().any(|start| self.buffer.starts_with(start)) {
            bail!("refused: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(())
    }

    /// A header of the last answer.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.buffer[..headers(&self.buffer)?]);
        let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
        let found = pairs.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        headers(&self.buffer).map_or(&[], |end| &self.buffer[end + 4..])
    }
}

/// Where the headers end, once they are there.
fn headers(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|four| four == b"\r\n\r\n")
}

/// The length of the whole answer, once its headers are there.
fn whole(buffer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = headers(buffer) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    if head.starts_with("http/1.1 304") || head.starts_with("http/1.1 204") {
        return Ok(Some(end + 4));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("no content-length")?;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}

/// A GET with a token and one more header, which may be empty.
pub fn get(path: &str, token: &str, header: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n{header}\r\n")
        .into_bytes()
}

/// A POST with a JSON body.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends `each` requests on every connection and returns requests per second; `request(connection, n)` makes the
/// n-th request of a connection.
pub async fn run<F>(
    address: SocketAddr,
    connections: usize,
    each: usize,
    request: F,
) -> anyhow::Result<f64>
where
    F: Fn(usize, usize) -> Vec<u8> + Clone + Send + 'static,
{
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let started = Instant::now();
    let mut tasks = Vec::new();
    for (index, mut connection) in open.into_iter().enumerate() {
        let request = request.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0..each {
                connection.ask(&request(index, n)).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    Ok((connections * each) as f64 / started.elapsed().as_secs_f64())
}
