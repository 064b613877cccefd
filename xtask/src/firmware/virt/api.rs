//! What the scenario asks the server: requests with JSON, an upload, and waiting for what the server pushes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::http_checks::client;
use crate::http_checks::server::Server;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const BOUNDARY: &str = "espalier-scenario-part";

/// Sends a request with a JSON body and returns the JSON answer.
///
/// # Errors
/// When the server answers another status than `wanted`.
pub fn ask(server: &Server, method: &str, path: &str, body: &Value, wanted: u16) -> Result<Value> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = server.request(method, path, "application/json", &body)?;
    let text = answer
        .expect(wanted)
        .with_context(|| format!("{method} {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("{method} {path} answered no JSON: {text}"))
}

/// Looks at something.
///
/// # Errors
/// When the server does not show it.
pub fn get(server: &Server, path: &str) -> Result<Value> {
    ask(server, "GET", path, &Value::Null, 200)
}

/// Puts an image and its signature into the library; returns its id.
///
/// # Errors
/// When the server refuses it.
pub fn upload(server: &Server, image: &Path) -> Result<String> {
    let signature = std::fs::read(format!("{}.sig", image.display()))?;
    let mut body = Vec::new();
    for (name, file, bytes) in [
        ("signature", "", signature),
        ("firmware", "; filename=\"app.bin\"", std::fs::read(image)?),
    ] {
        write!(
            body,
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        )?;
        body.extend_from_slice(&bytes);
        body.extend_from_slice(b"\r\n");
    }
    write!(body, "--{BOUNDARY}--\r\n")?;
    let bearer = format!("Bearer {}", server.token);
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", &kind)];
    let answer = client::request(server.address, "POST", "/firmware", &headers, &body)?;
    let made: Value = serde_json::from_str(&answer.expect(201)?)?;
    text(&made, "id")
}

/// Asks for an update with a board's token, as a board that runs an image, until the answer offers a patch.
///
/// # Errors
/// When the server offers none in a minute.
#[expect(
    clippy::disallowed_methods,
    reason = "a back-off between attempts: nothing is pushed to a board when a patch is made"
)]
pub fn patch_for(server: &Server, token: &str, running: &Path) -> Result<()> {
    const TRIES: u32 = 240;
    let digest = Sha256::digest(std::fs::read(running)?);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("/device/update?running={hex}&slot=1966080");
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let mut said = String::new();
    for _ in 0..TRIES {
        said = client::request(server.address, "GET", &path, &headers, b"")?.expect(200)?;
        let offer: Value = serde_json::from_str(&said)?;
        if offer["patch_size"].is_u64() {
            println!("patch: {} bytes", offer["patch_size"]);
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    bail!("the server makes no patch; it offers {said}")
}

/// Returns a member that is a text.
///
/// # Errors
/// When there is none.
pub fn text(value: &Value, member: &str) -> Result<String> {
    let found = value[member].as_str();
    Ok(found
        .with_context(|| format!("no `{member}` in {value}"))?
        .to_owned())
}

/// What the server pushes to the account.
#[derive(Debug)]
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the server does not let it.
    pub fn listen(server: &Server) -> Result<Self> {
        let mut stream = TcpStream::connect(server.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /events/stream HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            server.address, server.token
        )?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        ensure!(line.contains(" 200 "), "GET /events/stream answered {line}");
        Ok(Events(stream))
    }

    /// Waits until a look at the server shows what is wanted; looks again at everything that the server pushes.
    ///
    /// # Errors
    /// When it is not so after two minutes; the message names what was waited for.
    pub fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            let mut line = String::new();
            while !line.starts_with("data:") {
                line.clear();
                let count = self.0.read_line(&mut line);
                let late = Instant::now() > end;
                match count {
                    Ok(count) if count > 0 && !late => {}
                    Ok(0) => bail!("the server ended its events before {what}"),
                    _ => bail!("{what} did not happen in time"),
                }
            }
        }
    }
}
