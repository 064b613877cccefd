//! Memory: the idle server, and one idle device socket.

use crate::http::Ours;
use crate::report::Report;
use anyhow::Context;
use espalier_server::ops::metrics::resident_bytes;
use futures_util::{SinkExt, StreamExt};
use std::io::Write;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Idle device sockets.
const SOCKETS: usize = 10_000;

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
