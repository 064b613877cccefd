//! The ways to a server: a WebSocket with small buffers, one plain HTTP request, and a part of a file as a stream. Not a client
//! library: each request has its own connection.

use std::sync::Arc;

use espalier_device::{Config, Endpoint, Method};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error};

/// A socket to the server.
pub type Socket = WebSocketStream<TcpStream>;

/// Read and write buffers of a socket, in bytes: frames are small, and a fleet has thousands of sockets.
const BUFFER: usize = 1024;
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256 * 1024;

/// Where the server is.
#[derive(Debug)]
pub struct Target {
    host: String,
    port: u16,
    base: String,
    authority: String,
}

impl Target {
    /// Takes the parts of a checked server address.
    pub fn new(endpoint: Endpoint<'_>) -> Arc<Self> {
        Arc::new(Target {
            host: endpoint.host.trim_matches(['[', ']']).to_owned(),
            port: endpoint.port,
            base: endpoint.base.to_owned(),
            authority: format!("{}:{}", endpoint.host, endpoint.port),
        })
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Small frames must leave at once.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// The server's time in milliseconds UTC.
    pub date: Option<i64>,
    pub retry_after_s: Option<u32>,
}

/// Returns the limits of every socket of the simulator.
pub fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(4 * espalier_wire::limits::MAX_FRAME_BYTES)
        .max_message_size(Some(espalier_wire::limits::MAX_FRAME_BYTES))
        .max_frame_size(Some(espalier_wire::limits::MAX_FRAME_BYTES))
}

/// Opens the device socket; the error is the HTTP status, when a server answered.
pub async fn open_socket(target: Arc<Target>, token: String) -> Result<Box<Socket>, Option<u16>> {
    let url = format!("ws://{}{}/ws/device", target.authority, target.base);
    let mut request = url.into_client_request().map_err(|_| None)?;
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| None)?;
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let stream = target.connect().await.map_err(|_| None)?;
    match tokio_tungstenite::client_async_with_config(request, stream, Some(socket_config())).await
    {
        Ok((socket, _)) => Ok(Box::new(socket)),
        Err(Error::Http(response)) => Err(Some(response.status().as_u16())),
        Err(_) => Err(None),
    }
}

/// Sends one request. HTTP/1.0, so that the answer comes in one piece and ends with the connection.
pub async fn request(
    target: Arc<Target>,
    token: String,
    method: Method,
    path: String,
    body: String,
) -> Option<Answer> {
    let mut stream = target.connect().await.ok()?;
    let verb = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let head = format!(
        "{verb} {}{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        target.base,
        target.authority,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut bytes).await.ok()?;
    parse_answer(&bytes)
}

/// A part of a file that is coming in.
pub struct Body {
    pub status: u16,
    pub retry_after_s: Option<u32>,
    /// Bytes that are still to be read; none when the answer is not what was asked for.
    pub left: u64,
    pub stream: BufReader<TcpStream>,
    /// Bytes per second that the board takes at most, and when it takes the next ones.
    pub rate: Option<u32>,
    pub ready_at: Instant,
}

/// Longest head of an answer, in bytes.
const MAX_HEAD: u64 = 16 * 1024;

/// Asks for a part of a file and returns when its bytes begin.
pub async fn download(
    target: Arc<Target>,
    token: String,
    path: String,
    (from, len): (u32, u32),
    rate: Option<u32>,
) -> Option<Body> {
    let mut stream = target.connect().await.ok()?;
    let to = u64::from(from) + u64::from(len) - 1;
    let head = format!(
        "GET {}{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nRange: bytes={from}-{to}\r\n\
         Connection: close\r\n\r\n",
        target.base, target.authority,
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let room = MAX_HEAD.checked_sub(head.len() as u64)?;
        let mut line = (&mut stream).take(room);
        if line.read_until(b'\n', &mut head).await.ok()? == 0 {
            return None;
        }
    }
    let answer = parse_answer(&head)?;
    let wanted = answer.status == 206 || (answer.status == 200 && from == 0);
    Some(Body {
        status: answer.status,
        retry_after_s: answer.retry_after_s,
        left: if wanted { u64::from(len) } else { 0 },
        stream,
        rate,
        ready_at: Instant::now(),
    })
}

fn parse_answer(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body_at) = response.parse(bytes).ok()? else {
        return None;
    };
    let status = response.code?;
    let find = |name: &str| {
        let header = response
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let date = find("date").and_then(|text| httpdate::parse_http_date(text).ok());
    let since = date.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    Some(Answer {
        status,
        date: since.and_then(|d| i64::try_from(d.as_millis()).ok()),
        retry_after_s: find("retry-after").and_then(|text| text.trim().parse().ok()),
        body: String::from_utf8_lossy(&bytes[body_at..]).into_owned(),
    })
}

/// Says whether a message ends the connection.
pub fn is_close(message: &tungstenite::Message) -> bool {
    matches!(message, tungstenite::Message::Close(_))
}

/// Checks a server address for the simulator.
pub fn check_server(server: &str) -> Result<Arc<Target>, crate::SimError> {
    let endpoint = Endpoint::parse(server).map_err(crate::SimError::Server)?;
    // The core has its own bound on the length.
    Config::new(server, "probe", "probe").map_err(crate::SimError::Server)?;
    if endpoint.tls {
        Err(crate::SimError::Tls)
    } else {
        Ok(Target::new(endpoint))
    }
}
