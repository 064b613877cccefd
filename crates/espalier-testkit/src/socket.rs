//! A server on a loopback port, and WebSocket clients for it.

use axum::serve::ListenerExt;
use espalier_server::AppState;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test waits for something that must come before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that stops when it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(app: AppState) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        // As the program does: a small frame must not wait for the acknowledgement of the one before it.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let service =
            espalier_server::router(app).into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, service).await;
        });
        Self { address, task }
    }

    /// The URL of a path, e.g. `http://127.0.0.1:4711/health`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Opens a WebSocket, with a Bearer token when one is given.
    ///
    /// # Errors
    /// Returns the handshake's failure.
    pub async fn socket(
        &self,
        path: &str,
        bearer: Option<&str>,
    ) -> Result<Socket, Box<tokio_tungstenite::tungstenite::Error>> {
        let value = bearer.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = value
            .iter()
            .map(|v| ("authorization", v.as_str()))
            .collect();
        self.socket_with(path, &headers).await
    }

    /// Opens a WebSocket with these headers.
    ///
    /// # Errors
    /// Returns the handshake's failure.
    pub async fn socket_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, Box<tokio_tungstenite::tungstenite::Error>> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        for (name, value) in headers {
            let value = value.parse().expect("a header value");
            request.headers_mut().insert(*name, value);
        }
        let (stream, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Socket { stream })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A WebSocket client that speaks JSON text frames.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Sends one frame.
    pub async fn send(&mut self, frame: Value) {
        self.stream
            .send(Message::text(frame.to_string()))
            .await
            .expect("the frame is sent");
    }

    /// Sends one text frame as it is, also one that is not JSON.
    pub async fn send_text(&mut self, text: &str) {
        self.stream
            .send(Message::text(text))
            .await
            .expect("the frame is sent");
    }

    /// Reads frames until the server closes, and returns the code.
    ///
    /// # Panics
    /// Panics when the connection ends without a code.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next_or_close().await {
                return code.expect("a close code");
            }
        }
    }

    /// The next JSON frame.
    ///
    /// # Panics
    /// Panics when none comes or the socket closes.
    pub async fn next(&mut self) -> Value {
        self.next_or_close()
            .await
            .unwrap_or_else(|code| panic!("the socket closed with {code:?}"))
    }

    /// The next JSON frame, or the code with which the server closed.
    ///
    /// # Errors
    /// The close code, if one was given.
    pub async fn next_or_close(&mut self) -> Result<Value, Option<u16>> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next())
                .await
                .expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("a JSON frame"));
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Reads frames until one has this `type`, and returns it.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Closes the socket.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
    }
}
