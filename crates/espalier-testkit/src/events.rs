//! A reader of server-sent events on a real socket, small enough to see every line that comes.

use crate::Server;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How long a test waits for something that must come before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open event stream.
pub struct EventStream {
    /// The status of the answer.
    pub status: u16,
    /// The id that came last, as a browser keeps it; empty before the first.
    pub last_id: String,
    reader: BufReader<TcpStream>,
}

impl Server {
    /// Opens an event stream with these headers.
    ///
    /// # Panics
    /// Panics when no answer comes.
    pub async fn events(&self, path: &str, headers: &[(&str, &str)]) -> EventStream {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let mut reader = BufReader::new(stream);
        // HTTP/1.0, so that the body comes as it is, without chunks.
        let mut request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        reader
            .write_all(request.as_bytes())
            .await
            .expect("the request is sent");
        let mut stream = EventStream {
            status: 0,
            last_id: String::new(),
            reader,
        };
        let first = stream.line().await.expect("a status line");
        stream.status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        while stream.line().await.is_some_and(|line| !line.is_empty()) {}
        stream
    }
}

impl EventStream {
    /// The next line that is not empty: `data: …` or `: comment`; nothing when the server ends the stream.
    pub async fn next_line(&mut self) -> Option<String> {
        loop {
            let line = self.line().await?;
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.last_id);
            } else if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// The data of the next event; comments are skipped.
    ///
    /// # Panics
    /// Panics when the stream ends or the data is not JSON.
    pub async fn next(&mut self) -> Value {
        loop {
            let line = self.next_line().await.expect("an event");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("JSON data");
            }
            assert!(line.starts_with(':'), "neither data nor comment: {line}");
        }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.reader.read_line(&mut line))
            .await
            .expect("a line in time")
            .unwrap_or(0);
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
