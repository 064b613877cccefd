//! Memory: the idle server, one idle device socket, and ten thousand simulated boards in one process.

use crate::http::Ours;
use crate::report::Report;
use anyhow::Context;
use espalier_server::ops::metrics::resident_bytes;
use espalier_sim::{BoardSpec, Fleet, SimOptions, numbered_fleet};
use futures_util::{SinkExt, StreamExt};
use std::io::Write;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

/// Idle device sockets.
const SOCKETS: usize = 10_000;
/// Simulated boards.
const BOARDS: usize = 10_000;

/// The memory of a server that has just started and serves nobody.
pub async fn idle(report: &mut Report) -> anyhow::Result<()> {
    let ours = Ours::start(0).await?;
    #[expect(clippy::cast_precision_loss, reason = "a size in bytes")]
    let megabytes = resident_bytes() as f64 / 1e6;
    ours.app.shutdown.cancel();
    let detail = "resident set of the whole process, embedded database".to_owned();
    report.add(
        "idle memory of the server",
        format!("{megabytes:.1} MB"),
        "< 60 MB",
        detail,
    );
    Ok(())
}

/// What one idle device socket costs; the clients live in another process.
pub async fn sockets(report: &mut Report) -> anyhow::Result<()> {
    let _ = rlimit::increase_nofile_limit(1 << 20);
    let ours = Ours::start(SOCKETS).await?;
    let mut tokens = tempfile::NamedTempFile::new()?;
    for (_, token) in &ours.devices {
        writeln!(tokens, "{token}")?;
    }
    tokens.flush()?;
    let before = resident_bytes();
    let mut clients = Command::new(std::env::current_exe()?)
        .arg("idle-sockets")
        .arg(format!("ws://{}/ws/device", ours.address))
        .arg(tokens.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(clients.stdout.take().context("the clients' output")?).lines();
    let open = lines.next_line().await?.context("the clients failed")?;
    let after = resident_bytes();
    let count: usize = open
        .trim()
        .parse()
        .with_context(|| format!("the clients said {open:?}"))?;
    if let Some(mut stdin) = clients.stdin.take() {
        stdin.write_all(b"done\n").await?;
    }
    clients.wait().await?;
    ours.app.shutdown.cancel();
    #[expect(clippy::cast_precision_loss, reason = "a size in bytes")]
    let each = after.saturating_sub(before) as f64 / count as f64 / 1024.0;
    report.add(
        "memory per idle device socket",
        format!("{each:.2} KB"),
        "< 8 KB",
        format!("{count} sockets, growth of the server's resident set"),
    );
    Ok(())
}

/// The other process: opens a socket per token, says how many are open, and holds them until told to stop.
pub async fn hold_sockets(url: &str, tokens: &str) -> anyhow::Result<()> {
    let _ = rlimit::increase_nofile_limit(1 << 20);
    let mut held = Vec::new();
    for token in std::fs::read_to_string(tokens)?.lines() {
        let mut request = url.into_client_request()?;
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {token}").parse()?);
        let config = WebSocketConfig::default()
            .read_buffer_size(512)
            .write_buffer_size(0);
        let (mut socket, _) =
            tokio_tungstenite::connect_async_with_config(request, Some(config), true).await?;
        socket
            .send(Message::text("{\"type\":\"hello\",\"proto\":1}"))
            .await?;
        let welcome = socket
            .next()
            .await
            .context("the server closed the socket")??;
        anyhow::ensure!(
            welcome.to_text()?.contains("welcome"),
            "expected a welcome, got {welcome}"
        );
        held.push(socket);
    }
    println!("{}", held.len());
    std::io::stdout().flush()?;
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    Ok(())
}

/// What ten thousand simulated boards cost: core, flash chip, model of the weather and socket each, in a process of their own.
pub async fn boards(report: &mut Report) -> anyhow::Result<()> {
    let _ = rlimit::increase_nofile_limit(1 << 20);
    let ours = Ours::start(BOARDS).await?;
    let mut identities = tempfile::NamedTempFile::new()?;
    for (id, token) in &ours.devices {
        writeln!(identities, "{id} {token}")?;
    }
    identities.flush()?;
    let boards = Command::new(std::env::current_exe()?)
        .arg("run-boards")
        .arg(format!("http://{}", ours.address))
        .arg(identities.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = boards.wait_with_output().await?;
    ours.app.shutdown.cancel();
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    let [megabytes, delivered] = words.as_slice() else {
        anyhow::bail!("the boards said {text:?}");
    };
    let used: f64 = megabytes.parse()?;
    anyhow::ensure!(
        used < 1000.0,
        "10,000 simulated boards take {used:.0} MB, but may take 1000"
    );
    report.add(
        "10,000 simulated boards in one process",
        format!("{megabytes} MB"),
        "< 1000 MB",
        format!(
            "the most that was ever resident; {delivered} values delivered over as many sockets"
        ),
    );
    Ok(())
}

/// The other process: runs a board per line until each was welcomed and most have delivered, and says what it took at most.
pub async fn run_boards(url: &str, identities: &str) -> anyhow::Result<()> {
    let _ = rlimit::increase_nofile_limit(1 << 20);
    let lines = std::fs::read_to_string(identities)?;
    let lines: Vec<&str> = lines.lines().collect();
    let mut specs = Vec::new();
    for ((line, (kind, name)), seed) in lines.iter().zip(numbered_fleet(lines.len())).zip(1..) {
        let (id, token) = line.split_once(' ').context("an id and a token")?;
        specs.push(BoardSpec {
            kind,
            name,
            device_id: id.to_owned(),
            token: token.to_owned(),
            seed,
            outage: None,
        });
    }
    let boards = specs.len() as u64;
    let cancel = CancellationToken::new();
    let mut options = SimOptions::new(url);
    options.start_over = std::time::Duration::from_secs(20);
    let fleet = Fleet::run(specs, &options, &cancel)?;
    let last = fleet
        .wait_until(|now| now.welcomes >= now.reconnects + boards && now.samples_acked > 5 * boards)
        .await;
    println!("{} {}", peak_bytes() / 1_000_000, last.points_acked);
    cancel.cancel();
    fleet.stopped().await;
    Ok(())
}

/// The largest resident set that this process ever had (Linux, proc(5): `VmHWM`).
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
