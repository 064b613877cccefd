//! Updates: checks against a bare axum handler, downloads against nginx. Each pair takes turns in one run.

use crate::http::Ours;
use crate::load::{self, Connection};
use crate::report::{Report, median};
use anyhow::Context;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use espalier_image::app::Revision;
use espalier_image::chip::Chip;
use espalier_image::make::Make;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Connections that check at the same time, and checks of each in one round.
const CHECKS: (usize, usize) = (64, 500);
/// Connections that download at the same time, and downloads of each in one round.
const DOWNLOADS: (usize, usize) = (16, 40);
/// Rounds; A and B take turns and the median ratio counts.
const ROUNDS: usize = 7;
/// Bytes of what is downloaded.
const IMAGE: usize = 1_000_000;

#[derive(Deserialize)]
struct BareAsking {
    running: String,
}

/// The peer: reads the same request, looks up nothing, answers that nothing changed.
async fn bare(Query(asking): Query<BareAsking>, headers: HeaderMap) -> impl IntoResponse {
    let known = headers.get(header::IF_NONE_MATCH);
    let status = match known.is_some_and(|tag| !tag.is_empty() && !asking.running.is_empty()) {
        true => StatusCode::NOT_MODIFIED,
        false => StatusCode::NO_CONTENT,
    };
    (status, [(header::ETAG, "\"0123456789abcdef\"")])
}

async fn start_bare() -> anyhow::Result<SocketAddr> {
    let router = axum::Router::new().route("/device/update", get(bare));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Checks of boards for which nothing changed, against the bare handler.
pub async fn checks(report: &mut Report) -> anyhow::Result<()> {
    let (connections, each) = CHECKS;
    let ours = Ours::start(connections).await?;
    let peer = start_bare().await?;
    let path = format!(
        "/device/update?running={}&slot=1310720&secure=0",
        "ab".repeat(32)
    );
    let mut requests = Vec::new();
    for (_, token) in &ours.devices {
        let mut connection = Connection::open(ours.address).await?;
        connection.ask(&load::get(&path, token, "")).await?;
        let tag = connection.header("etag").context("no etag")?;
        requests.push(load::get(
            &path,
            token,
            &format!("if-none-match: {tag}\r\n"),
        ));
    }
    let requests = Arc::new(requests);
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let one = |requests: Arc<Vec<Vec<u8>>>| move |c: usize, _: usize| requests[c].clone();
        let mine = load::run(ours.address, connections, each, one(requests.clone())).await?;
        let theirs = load::run(peer, connections, each, one(requests.clone())).await?;
        if round > 0 {
            ratios.push(mine / theirs);
            a.push(mine);
            b.push(theirs);
        }
    }
    report.add(
        "unchanged checks, 64 connections",
        format!("{:.2} of a bare axum handler", median(ratios)),
        ">= 0.7",
        format!(
            "{:.0}/s against {:.0}/s that look up nothing",
            median(a),
            median(b)
        ),
    );
    ours.app.shutdown.cancel();
    Ok(())
}

/// An image that boots nowhere and does not compress.
fn image() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let payload: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(IMAGE)
    .collect();
    let make = Make {
        chip: Chip::Esp32C3,
        project: "bench",
        version: "1.0.0",
        payload: &payload,
        secure_version: 0,
        min_revision: Revision(0),
    };
    make.bytes()
}

fn upload(token: &str, image: &[u8]) -> Vec<u8> {
    let line = "----a-line-that-is-in-no-file";
    let head = format!(
        "--{line}\r\nContent-Disposition: form-data; name=\"firmware\"; filename=\"app.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{line}--\r\n");
    let length = head.len() + image.len() + tail.len();
    let mut request = format!(
        "POST /firmware HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary={line}\r\ncontent-length: {length}\r\n\r\n{head}"
    )
    .into_bytes();
    request.extend_from_slice(image);
    request.extend_from_slice(tail.as_bytes());
    request
}

/// Uploads the image, gives it to every board, and returns the request of each board for it.
async fn offered(ours: &Ours, image: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut connection = Connection::open(ours.address).await?;
    connection.ask(&upload(&ours.owner, image)).await?;
    let kept: Value = serde_json::from_slice(connection.body())?;
    let wish = json!({ "firmware_id": kept["id"] }).to_string();
    let mut requests = Vec::new();
    for (id, token) in &ours.devices {
        let path = format!("/devices/{id}/update");
        let force = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{wish}",
            ours.owner,
            wish.len()
        );
        connection.ask(force.as_bytes()).await?;
        let check = format!("/device/update?running={}", "ab".repeat(32));
        connection.ask(&load::get(&check, token, "")).await?;
        let offer: Value = serde_json::from_slice(connection.body())?;
        let update = offer["update"].as_str().context("no offer")?;
        let path = format!("/device/update/{update}/image");
        requests.push(load::get(&path, token, ""));
    }
    Ok(requests)
}

/// An nginx of its own, stopped when this is dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // A signal that it passes on to its workers; `kill` would leave them behind.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.0.wait();
    }
}

impl Nginx {
    /// Serves a folder; `None` when nginx is not installed.
    async fn start(folder: &Path) -> anyhow::Result<Option<(Self, SocketAddr)>> {
        let found = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(Path::new);
        let Some(program) = found.into_iter().find(|path| path.exists()) else {
            return Ok(None);
        };
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let place = folder.display();
        let config = folder.join("nginx.conf");
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {place}/{name};"))
            .concat();
        std::fs::write(
            &config,
            format!(
                "daemon off; worker_processes auto; pid {place}/pid; error_log stderr crit; events {{ worker_connections 1024; }} \
                 http {{ access_log off; {temporary} sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000; \
                 server {{ listen {address}; root {place}; }} }}"
            ),
        )?;
        let child = Command::new(program)
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .spawn()?;
        let nginx = Self(child);
        for _ in 0..100 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Some((nginx, address)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("nginx does not listen; its reason stands above")
    }
}

/// Downloads per second: every connection fetches the whole file again and again and throws it away.
async fn fetch(address: SocketAddr, requests: &Arc<Vec<Vec<u8>>>) -> anyhow::Result<f64> {
    let (connections, each) = DOWNLOADS;
    let started = std::time::Instant::now();
    let mut tasks = Vec::new();
    for n in 0..connections {
        let requests = requests.clone();
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut piece = vec![0; 256 << 10];
            for _ in 0..each {
                stream.write_all(&requests[n]).await?;
                drain(&mut stream, &mut piece).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of downloads")]
    Ok((connections * each) as f64 / started.elapsed().as_secs_f64())
}

/// Reads one answer to its end.
async fn drain(stream: &mut TcpStream, piece: &mut [u8]) -> anyhow::Result<()> {
    let mut have = 0;
    let (end, length) = loop {
        let read = stream.read(&mut piece[have..]).await?;
        anyhow::ensure!(read > 0, "the server closed the connection");
        have += read;
        if let Some(end) = piece[..have]
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&piece[..end]).to_ascii_lowercase();
            anyhow::ensure!(head.starts_with("http/1.1 200"), "refused: {head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            break (
                end + 4,
                length.context("no length")?.trim().parse::<usize>()?,
            );
        }
    };
    let mut left = length - (have - end);
    while left > 0 {
        let most = left.min(piece.len());
        let read = stream.read(&mut piece[..most]).await?;
        anyhow::ensure!(read > 0, "the server closed the connection");
        left -= read;
    }
    Ok(())
}

/// Downloads of an image of 1 MB, against nginx with the same file.
pub async fn downloads(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let image = image();
    std::fs::write(folder.path().join("image.bin"), &image)?;
    let Some((_nginx, peer)) = Nginx::start(folder.path()).await? else {
        println!(
            "downloads: left out, because nginx is not installed; `apt-get install nginx-light` brings it."
        );
        return Ok(());
    };
    let ours = Ours::start(DOWNLOADS.0).await?;
    let requests = Arc::new(offered(&ours, &image).await?);
    let plain = Arc::new(vec![load::get("/image.bin", "none", ""); DOWNLOADS.0]);
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mine = fetch(ours.address, &requests).await?;
        let theirs = fetch(peer, &plain).await?;
        if round > 0 {
            ratios.push(mine / theirs);
            a.push(mine);
            b.push(theirs);
        }
    }
    report.add(
        "downloads of 1 MB, 16 connections",
        format!("{:.2} of nginx", median(ratios)),
        ">= 0.8",
        format!("{:.0} against {:.0} images/s", median(a), median(b)),
    );
    ours.app.shutdown.cancel();
    Ok(())
}
