//! A tiny server of the device protocol: enough truth to test boards against, on a port of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use espalier_wire::device::{Down, StateMap, Telemetry, Up, write_state};
use espalier_wire::http::{ResultPost, TelemetryPost};
use espalier_wire::json::{Json, Text};
use espalier_wire::ota::{Offer, Report, Stage};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

#[derive(Default)]
pub struct State {
    pub withhold_acks: bool,
    pub refuse_sockets: bool,
    /// Device → wanted key → (JSON, version).
    pub wanted: HashMap<String, BTreeMap<String, (String, u64)>>,
    /// Device → reported key → (JSON, version).
    pub reported: HashMap<String, BTreeMap<String, (String, u64)>>,
    /// Every stored point: device, time, key. A repeated one is one point.
    pub points: BTreeSet<(String, i64, String)>,
    /// What devices refused: key, version, reason.
    pub refused: Vec<(String, u64, String)>,
    pub untimed: u64,
    pub acked: u64,
    pub handshakes: u64,
    pub posts: u64,
    pub bad_frames: Vec<String>,
    pub results: Vec<(String, bool)>,
    /// Commands for boards that poll, by name; each stays until it is answered.
    pub commands: Vec<String>,
    pub heartbeats: u64,
    /// The image that every board should run, and its signed manifest.
    pub firmware: Option<(Vec<u8>, String)>,
    /// What boards said of their updates: device, stage, reason.
    pub reports: Vec<(String, Stage, String)>,
    /// Device → SHA-256 and version of what it runs, as it said last.
    pub running: HashMap<String, (String, String)>,
    sockets: HashMap<String, mpsc::UnboundedSender<String>>,
}

#[derive(Clone)]
pub struct Server {
    pub url: String,
    pub state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

/// Tokens are `token-<device id>`.
pub fn token(device: &str) -> String {
    format!("token-{device}")
}

/// SHA-256 as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A clock that starts on a day of its own.
fn now_ms() -> i64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    1_763_683_200_000 + i64::try_from(elapsed.as_millis()).unwrap()
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server {
            url,
            state: Arc::default(),
            changed: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
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

    pub fn want(&self, device: &str, key: &str, value: &str) {
        self.with(|s| {
            let entry = s
                .wanted
                .entry(device.into())
                .or_default()
                .entry(key.into())
                .or_default();
            *entry = (value.into(), entry.1 + 1);
            let frame = desired(s, device);
            s.push(device, frame);
        });
    }

    pub fn command(&self, device: &str, frame: &Down<'_>) {
        self.with(|s| s.push(device, frame.to_json()));
    }

    /// Ends every socket, as a crash of the server does.
    pub fn drop_sockets(&self) {
        self.with(|s| s.sockets.clear());
    }

    async fn serve(&self, stream: TcpStream) {
        let mut head = [0; 4];
        // A WebSocket handshake is a GET of /ws/device; the rest is plain HTTP.
        let Ok(4..) = stream.peek(&mut head).await else {
            return;
        };
        let mut start = vec![0; 24];
        let Ok(n) = stream.peek(&mut start).await else {
            return;
        };
        if String::from_utf8_lossy(&start[..n]).starts_with("GET /ws/device") {
            self.serve_socket(stream).await;
        } else {
            self.serve_http(stream).await;
        }
    }

    async fn serve_socket(&self, stream: TcpStream) {
        let mut device = String::new();
        let refuse = self.with(|s| s.refuse_sockets);
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let bearer = request
                .headers()
                .get("authorization")
                .and_then(|v| v.to_str().ok())
                .unwrap_or("");
            device = bearer
                .strip_prefix("Bearer token-")
                .unwrap_or("")
                .to_owned();
            if device.is_empty() || refuse {
                let mut no = ErrorResponse::new(None);
                *no.status_mut() = if refuse { 404 } else { 401 }.try_into().unwrap();
                return Err(no);
            }
            Ok(response)
        };
        let Ok(mut ws) = tokio_tungstenite::accept_hdr_async(stream, check).await else {
            return;
        };
        let (tx, mut rx) = mpsc::unbounded_channel();
        let welcome = Down::Welcome {
            device_id: Text::new(&device),
            time: now_ms(),
            heartbeat_s: 30,
        }
        .to_json();
        let pending = self.with(|s| {
            s.handshakes += 1;
            s.sockets.insert(device.clone(), tx);
            desired(s, &device)
        });
        let mut welcomed = false;
        loop {
            tokio::select! {
                frame = rx.recv() => {
                    let Some(frame) = frame else { return };
                    if ws.send(Message::text(frame)).await.is_err() {
                        return;
                    }
                }
                message = ws.next() => {
                    let Some(Ok(message)) = message else { return };
                    let Ok(text) = message.to_text() else { continue };
                    if message.is_text() {
                        let mut answers = self.hear(&device, text);
                        if !std::mem::replace(&mut welcomed, true) {
                            answers = vec![welcome.clone(), pending.clone()];
                        }
                        for answer in answers {
                            if ws.send(Message::text(answer)).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }

    fn hear(&self, device: &str, text: &str) -> Vec<String> {
        self.with(|s| {
            let id = match Up::parse(text) {
                Ok(Up::Telemetry { id, telemetry }) => {
                    s.store(device, telemetry);
                    id
                }
                Ok(Up::Reported { id, state }) => {
                    s.report(device, state);
                    id
                }
                Ok(Up::CommandResult(result)) => {
                    s.results.push((result.id.to_string(), result.ok));
                    return Vec::new();
                }
                Ok(Up::Heartbeat(heartbeat)) => {
                    s.heartbeats += 1;
                    match heartbeat.id {
                        Some(id) => id,
                        None => return Vec::new(),
                    }
                }
                Ok(Up::Ping) => return vec![Down::Pong { time: None }.to_json()],
                Ok(Up::Hello(hello)) => {
                    let firmware = hello.firmware.unwrap();
                    let runs = (
                        firmware.sha256.unwrap().to_string(),
                        firmware.version.to_string(),
                    );
                    s.running.insert(device.to_owned(), runs);
                    return Vec::new();
                }
                Err(e) => {
                    s.bad_frames.push(format!("{e}: {text}"));
                    return Vec::new();
                }
            };
            if s.withhold_acks {
                return Vec::new();
            }
            s.acked += 1;
            vec![Down::Ack { id }.to_json()]
        })
    }

    async fn serve_http(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let (head, body) = loop {
            let mut chunk = [0; 4096];
            let Ok(n @ 1..) = stream.read(&mut chunk).await else {
                return;
            };
            bytes.extend_from_slice(&chunk[..n]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("Content-Length: "))
                .map_or(0, |l| l.parse().unwrap());
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        };
        let device = head
            .lines()
            .find_map(|l| l.strip_prefix("Authorization: Bearer token-"))
            .unwrap_or("")
            .to_owned();
        let line = head.lines().next().unwrap_or("");
        let (status, answer) = match self.image(line, &head) {
            Some(part) => (206, part),
            None => {
                let (status, text) = self.answer(&device, line, &body);
                (status, text.into_bytes())
            }
        };
        let head = format!(
            "HTTP/1.0 {status} X\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let _ = stream.write_all(&[head.as_bytes(), &answer].concat()).await;
    }

    /// The part of the image that a request asks for.
    fn image(&self, line: &str, head: &str) -> Option<Vec<u8>> {
        let path = line.split(' ').nth(1)?;
        let wanted = path.starts_with("/device/update/") && path.ends_with("/image");
        let range = head.lines().find_map(|l| l.strip_prefix("Range: bytes="))?;
        let (from, to) = range.split_once('-')?;
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        self.with(|s| {
            let image = &s.firmware.as_ref().filter(|_| wanted)?.0;
            image.get(from..=to).map(<[u8]>::to_vec)
        })
    }

    fn answer(&self, device: &str, line: &str, body: &str) -> (u16, String) {
        self.with(|s| match line.split(' ').nth(1).unwrap_or("") {
            path if path.ends_with("/telemetry") => match TelemetryPost::parse(body) {
                Ok(post) => {
                    s.posts += 1;
                    match post.reported {
                        Some(state) => s.report(device, state),
                        None => s.store(device, post.telemetry),
                    }
                    (200, r#"{"message":"ok"}"#.into())
                }
                Err(e) => {
                    s.bad_frames.push(format!("{e}: {body}"));
                    (422, String::new())
                }
            },
            path if path.starts_with("/telemetry/latest") => {
                let state = desired_map(s, device);
                (
                    200,
                    format!(
                        r#"{{"device_id":"{device}","data":{{}},"desired":{state},"time":{}}}"#,
                        now_ms()
                    ),
                )
            }
            path if path.starts_with("/device/update?running=") => {
                let running = &path["/device/update?running=".len()..][..64];
                match s.offer(running) {
                    Some(offer) => (200, offer),
                    None => (204, String::new()),
                }
            }
            path if path.starts_with("/device/update/") => {
                let report = Report::parse(body).unwrap();
                let reason = report.reason.map(|r| r.to_string()).unwrap_or_default();
                s.reports.push((device.to_owned(), report.stage, reason));
                (200, "{}".into())
            }
            path if path.ends_with("/commands/pending") => {
                let expires_at = now_ms() + 60_000;
                let commands = s.commands.iter().map(|name| {
                    format!(r#"{{"id":"{name}","name":"{name}","expires_at":{expires_at}}}"#)
                });
                let commands = commands.collect::<Vec<_>>().join(",");
                (200, format!(r#"{{"commands":[{commands}]}}"#))
            }
            path if path.ends_with("/result") => {
                let id = path.rsplit('/').nth(1).unwrap_or("").to_owned();
                s.commands.retain(|open| *open != id);
                let ok = ResultPost::parse(body).is_ok_and(|post| post.result.ok);
                s.results.push((id, ok));
                (200, "{}".into())
            }
            _ => (404, String::new()),
        })
    }
}

fn desired_map(s: &State, device: &str) -> String {
    let mut map = String::new();
    let wanted = s.wanted.get(device).into_iter().flatten();
    let entries = wanted.map(|(k, (v, n))| (k.as_str(), Json::parse(v).unwrap().into(), *n));
    write_state(&mut map, entries).unwrap();
    map
}

fn desired(s: &State, device: &str) -> String {
    let map = desired_map(s, device);
    Down::Desired {
        state: StateMap::check(Json::parse(&map).unwrap()).unwrap(),
    }
    .to_json()
}

impl State {
    /// Wants every board to run an image, and nudges them.
    pub fn roll_out(&mut self, image: Vec<u8>, manifest: String) {
        self.firmware = Some((image, manifest));
        for socket in self.sockets.values() {
            let _ = socket.send(Down::Update.to_json());
        }
    }

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
            version: Text::new("next"),
            manifest: Some(Text::new(manifest)),
            patch_size: None,
            confirm_within_s: 8,
            keys: None,
        }
        .write(&mut body)
        .unwrap();
        Some(body)
    }

    fn push(&mut self, device: &str, frame: String) {
        if let Some(socket) = self.sockets.get(device) {
            let _ = socket.send(frame);
        }
    }

    fn store(&mut self, device: &str, telemetry: Telemetry<'_>) {
        for sample in telemetry.samples() {
            self.untimed += u64::from(sample.ts.is_none());
            for (key, _) in sample.data.members().unwrap() {
                self.points
                    .insert((device.into(), sample.ts.unwrap_or(-1), key.to_string()));
            }
        }
    }

    fn report(&mut self, device: &str, state: StateMap<'_>) {
        for entry in state.iter() {
            if let Some(why) = entry.error {
                self.refused
                    .push((entry.key.to_string(), entry.version, why.to_string()));
                continue;
            }
            let value = (entry.value.as_str().to_owned(), entry.version);
            self.reported
                .entry(device.into())
                .or_default()
                .insert(entry.key.to_string(), value);
        }
    }

    /// Moments at which a device was measured, by the times of one key.
    pub fn times(&self, device: &str, key: &str) -> Vec<i64> {
        self.points
            .iter()
            .filter(|p| p.0 == device && p.2 == key)
            .map(|p| p.1)
            .collect()
    }
}
