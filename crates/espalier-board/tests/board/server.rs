//! A small server of the device protocol over any stream: sockets, telemetry, desired values, one update whose download breaks off
//! as often as a test wants.

use std::sync::{Arc, Mutex};

use espalier_wire::device::{Down, StateMap, Up, write_state};
use espalier_wire::http::ResultPost;
use espalier_wire::json::{Json, Text};
use espalier_wire::ota::{Offer, Report, Stage};
use futures_util::{SinkExt, StreamExt};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::certificates::NOW;
use crate::lines::Breaker;

pub const TOKEN: &str = "0123456789abcdef";
pub const DEVICE: &str = "65a1f0c2b3d4e5f601234567";

pub fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Default)]
pub struct State {
    pub samples: usize,
    /// The values of the newest sample.
    pub sample: String,
    /// The versions that boards have named when they greeted.
    pub hellos: Vec<String>,
    pub wanted: Option<String>,
    /// Commands for boards that ask, until they are answered.
    pub commands: Vec<String>,
    /// Bytes of values in the answer to a board that asks for its desired values.
    pub padding: usize,
    /// Key, value, version.
    pub reported: Vec<(String, String, u64)>,
    pub results: Vec<(String, bool)>,
    /// The image to run and its signed manifest.
    pub firmware: Option<(Vec<u8>, String)>,
    /// How many downloads still break off after so many bytes.
    pub breaks: Vec<usize>,
    /// Where downloads began.
    pub downloads: Vec<usize>,
    pub reports: Vec<(Stage, String)>,
    pub bad: Vec<String>,
    pub refuse_sockets: Option<u16>,
    pub posts: usize,
    /// The picture of the display and its entity tag.
    pub picture: (Vec<u8>, String),
    /// What boards that asked for the picture had already.
    pub asked: Vec<Option<String>>,
    /// How many bytes of the picture still come before the line falls silent; none when it does not.
    pub silent_after: Option<usize>,
    /// How many bytes of the answers to come get through before their lines fall silent.
    pub stalled_answers: Vec<usize>,
    /// The same of downloads.
    pub stalled_downloads: Vec<usize>,
    /// What breaks the line of the newest socket.
    pub breaker: Breaker,
    sockets: Vec<mpsc::UnboundedSender<String>>,
}

#[derive(Clone)]
pub struct Server {
    pub port: u16,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Server {
    /// Starts a server on a free port; with a configuration it speaks TLS only.
    pub async fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::new(listener.local_addr().unwrap().port());
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (accepting.clone(), tls.clone());
                tokio::spawn(async move { server.take(stream, tls, Breaker::default()).await });
            }
        });
        server
    }

    /// Makes a server that listens nowhere.
    pub fn new(port: u16) -> Self {
        Server {
            port,
            state: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// Serves one connection.
    pub async fn take(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        tls: Option<Arc<rustls::ServerConfig>>,
        breaker: Breaker,
    ) {
        match tls {
            None => self.serve(stream, breaker).await,
            Some(config) => {
                if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                    self.serve(stream, breaker).await;
                }
            }
        }
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let result = f(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    /// Waits until the server's state satisfies a condition.
    pub async fn until(&self, condition: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(&self.state.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }

    /// Sends a frame to every board.
    pub fn push(&self, frame: &str) {
        self.with(|s| {
            s.sockets
                .retain(|socket| socket.send(frame.to_owned()).is_ok())
        });
    }

    /// Ends every socket, as a crash does.
    pub fn drop_sockets(&self) {
        self.with(|s| s.sockets.clear());
    }

    async fn serve(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        breaker: Breaker,
    ) {
        let mut bytes = Vec::new();
        let (head, mut body) = loop {
            let mut chunk = [0; 512];
            let Ok(n @ 1..) = stream.read(&mut chunk).await else {
                return;
            };
            bytes.extend_from_slice(&chunk[..n]);
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = bytes.split_off(at + 4);
                break (String::from_utf8(bytes).unwrap(), body);
            }
        };
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
        };
        assert_eq!(header("Authorization"), Some(format!("Bearer {TOKEN}")));
        if let Some(key) = header("Sec-WebSocket-Key") {
            if let Some(status) = self.with(|s| s.refuse_sockets) {
                let _ = stream
                    .write_all(
                        format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").as_bytes(),
                    )
                    .await;
                return;
            }
            let accept = derive_accept_key(key.as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            self.with(|s| s.breaker = breaker);
            return self.serve_socket(stream).await;
        }
        let length = header("Content-Length").map_or(0, |text| text.parse().unwrap());
        while body.len() < length {
            let mut chunk = [0; 512];
            let Ok(n @ 1..) = stream.read(&mut chunk).await else {
                return;
            };
            body.extend_from_slice(&chunk[..n]);
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        if path.starts_with("/dashboards/") {
            return self.serve_picture(stream, header("If-None-Match")).await;
        }
        match header("Range") {
            Some(range) if path.ends_with("/image") => self.serve_image(stream, &range).await,
            _ => {
                let (status, text) = self.answer(&path, std::str::from_utf8(&body).unwrap());
                // In chunks, as servers behind other servers answer.
                let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
                let mut out = head.into_bytes();
                if status != 204 {
                    for part in text.as_bytes().chunks(7) {
                        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                        out.extend_from_slice(part);
                        out.extend_from_slice(b"\r\n");
                    }
                    out.extend_from_slice(b"0\r\n\r\n");
                }
                let stop = self.with(|s| s.stalled_answers.pop());
                let _ = stream.write_all(&out[..stop.unwrap_or(out.len())]).await;
                let _ = stream.flush().await;
                if stop.is_some() {
                    return until_given_up(stream).await;
                }
                let _ = stream.shutdown().await;
            }
        }
    }

    async fn serve_image(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, range: &str) {
        let (from, to) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let (part, stop, stall) = self.with(|s| {
            s.downloads.push(from);
            let image = &s.firmware.as_ref().unwrap().0;
            let part = image[from..(to + 1).min(image.len())].to_vec();
            (part, s.breaks.pop(), s.stalled_downloads.pop())
        });
        let head = format!(
            "HTTP/1.1 206 Partial\r\nContent-Length: {}\r\n\r\n",
            part.len()
        );
        let stop = stall.or(stop).unwrap_or(part.len()).min(part.len());
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&part[..stop]).await;
        let _ = stream.flush().await;
        if stall.is_some() {
            until_given_up(stream).await;
        } else if stop == part.len() {
            let _ = stream.shutdown().await;
        }
    }

    async fn serve_picture(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        known: Option<String>,
    ) {
        let (picture, etag, silent_after) = self.with(|s| {
            s.asked.push(known.clone());
            let (picture, etag) = s.picture.clone();
            (picture, etag, s.silent_after)
        });
        let (status, body) = if known.as_ref() == Some(&etag) {
            (304, &[][..])
        } else {
            (200, &picture[..])
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nETag: {etag}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream
            .write_all(&body[..silent_after.unwrap_or(body.len())])
            .await;
        let _ = stream.flush().await;
        if silent_after.is_some() {
            until_given_up(stream).await;
        } else {
            let _ = stream.shutdown().await;
        }
    }

    async fn serve_socket(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut ws = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let (tx, mut rx) = mpsc::unbounded_channel();
        self.with(|s| s.sockets.push(tx));
        for frame in self.welcome() {
            if ws.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
        loop {
            tokio::select! {
                frame = rx.recv() => {
                    let Some(frame) = frame else { return };
                    // A ping before everything else: boards have to answer it, and to go on.
                    let sent = ws.send(Message::Ping(vec![7; 5].into())).await.is_ok()
                        && ws.send(Message::text(frame)).await.is_ok();
                    if !sent {
                        return;
                    }
                }
                message = ws.next() => {
                    let Some(Ok(message)) = message else { return };
                    let Ok(text) = message.to_text() else { continue };
                    if !message.is_text() {
                        continue;
                    }
                    for answer in self.hear(text) {
                        if ws.send(Message::text(answer)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn welcome(&self) -> Vec<String> {
        let time = i64::try_from(NOW).unwrap() * 1000;
        let mut frames = vec![
            Down::Welcome {
                device_id: Text::new(DEVICE),
                time,
                heartbeat_s: 30,
            }
            .to_json(),
        ];
        frames.extend(self.with(|s| s.wanted.clone()));
        frames
    }

    fn hear(&self, text: &str) -> Vec<String> {
        self.with(|s| {
            let id = match Up::parse(text) {
                Ok(Up::Telemetry { id, telemetry }) => {
                    for sample in telemetry.samples() {
                        s.samples += 1;
                        s.sample = sample.data.as_str().to_owned();
                    }
                    Some(id)
                }
                Ok(Up::Reported { id, state }) => {
                    s.reported.extend(
                        state
                            .iter()
                            .map(|e| (e.key.to_string(), e.value.as_str().to_owned(), e.version)),
                    );
                    Some(id)
                }
                Ok(Up::CommandResult(result)) => {
                    s.results.push((result.id.to_string(), result.ok));
                    None
                }
                Ok(Up::Heartbeat(heartbeat)) => heartbeat.id,
                Ok(Up::Ping) => return vec![Down::Pong { time: None }.to_json()],
                Ok(Up::Hello(hello)) => {
                    s.hellos.push(
                        hello
                            .firmware
                            .map(|f| f.version.to_string())
                            .unwrap_or_default(),
                    );
                    None
                }
                Err(error) => {
                    s.bad.push(format!("{error}: {text}"));
                    None
                }
            };
            id.map(|id| Down::Ack { id }.to_json())
                .into_iter()
                .collect()
        })
    }

    fn answer(&self, path: &str, body: &str) -> (u16, String) {
        self.with(|s| {
            if let Some(running) = path.strip_prefix("/device/update?running=") {
                return match s.offer(&running[..64]) {
                    Some(offer) => (200, offer),
                    None => (204, String::new()),
                };
            }
            if path.starts_with("/device/update/") {
                let report = Report::parse(body).unwrap();
                let reason = report.reason.map(|r| r.to_string()).unwrap_or_default();
                s.reports.push((report.stage, reason));
                return (200, "{}".to_owned());
            }
            match path {
                "/telemetry/latest?only=desired" => {
                    let padding = "x".repeat(s.padding);
                    (
                        200,
                        format!(
                            r#"{{"device_id":"{DEVICE}","data":{{"x":"{padding}"}},"desired":{{}},"time":{NOW}000}}"#
                        ),
                    )
                }
                _ if path.ends_with("/commands/pending") => {
                    let commands = s.commands.iter().map(|id| {
                        format!(r#"{{"id":"{id}","name":"{id}","params":{{}},"expires_at":{NOW}999}}"#)
                    });
                    let commands = commands.collect::<Vec<_>>().join(",");
                    (200, format!(r#"{{"commands":[{commands}]}}"#))
                }
                _ if path.ends_with("/result") => {
                    let id = path.rsplit('/').nth(1).unwrap().to_owned();
                    s.commands.retain(|open| *open != id);
                    let result = ResultPost::parse(body).unwrap().result;
                    s.results.push((id, result.ok));
                    (200, r#"{"message":"ok"}"#.to_owned())
                }
                _ if path.ends_with("/telemetry") => {
                    s.posts += 1;
                    (200, r#"{"message":"ok"}"#.to_owned())
                }
                _ => (404, String::new()),
            }
        })
    }
}

impl State {
    fn offer(&self, running: &str) -> Option<String> {
        let (image, manifest) = self.firmware.as_ref()?;
        let sha256 = hex(image);
        if sha256 == running {
            return None;
        }
        let mut body = String::new();
        Offer {
            update: Text::new("u1"),
            attempt: 1,
            sha256: Text::new(&sha256),
            size: image.len().try_into().unwrap(),
            version: Text::new("2.0.0"),
            manifest: Some(Text::new(manifest)),
            patch_size: None,
            confirm_within_s: 30,
            keys: None,
        }
        .write(&mut body)
        .unwrap();
        Some(body)
    }
}

/// Says nothing more until the board gives up.
async fn until_given_up(mut stream: impl AsyncRead + Unpin) {
    let _ = stream.read(&mut [0; 1]).await;
}

/// The frame that wants a value of a switch.
pub fn desired(key: &str, value: &str, version: u64) -> String {
    let mut map = String::new();
    write_state(
        &mut map,
        [(key, Json::parse(value).unwrap().into(), version)],
    )
    .unwrap();
    Down::Desired {
        state: StateMap::check(Json::parse(&map).unwrap()).unwrap(),
    }
    .to_json()
}
