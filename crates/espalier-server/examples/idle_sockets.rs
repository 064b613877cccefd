//! Measures what an idle device socket costs: connects thousands of devices over loopback and compares the
//! server's resident memory before and after. It is not a load test.
//!
//! ```text
//! ulimit -n 20000
//! cargo run --release -p espalier-server --example idle_sockets -- 9000
//! ```
//! The clients live in a second process (this program again), so that only the server is measured.

use espalier_testkit::{Engine, TestApp};
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("clients") {
        return clients(&args.next().unwrap_or_default());
    }
    let count = first.map_or(Ok(1_000), |count| count.parse())?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(measure(count))
}

async fn measure(count: usize) -> anyhow::Result<()> {
    let app = TestApp::new(Engine::Sqlite).await;
    let person = app.person("ada").await;
    let mut tokens = String::new();
    for chunk in (0..count).collect::<Vec<_>>().chunks(100) {
        let created = chunk.iter().map(|n| {
            let name = format!("board {n}");
            let person = &person;
            async move { person.device(&name).await.1 }
        });
        for token in futures_util::future::join_all(created).await {
            tokens.push_str(&token);
            tokens.push('\n');
        }
    }
    let server = app.serve().await;
    // The first connection pays for what is set up once.
    let warm = connect(
        &server.address.to_string(),
        tokens.lines().next().unwrap_or(""),
    )?;
    let before = resident()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["clients", &server.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("a pipe");
    let stdout = child.stdout.take().expect("a pipe");
    let ready = tokio::task::spawn_blocking(move || {
        stdin.write_all(tokens.as_bytes())?;
        stdin.write_all(b"\n")?;
        let mut line = String::new();
        std::io::BufReader::new(stdout).read_line(&mut line)?;
        Ok::<_, std::io::Error>((stdin, line))
    });
    let (stdin, line) = ready.await??;
    anyhow::ensure!(line.trim() == "ready", "the clients failed: {line:?}");
    // Presence and events of so many devices are stored once; what that used is not the sockets'.
    for _ in 0..20 {
        espalier_server::devices::tick(&app.app).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let connected = app.app.live.connected_devices();
    let after = resident()?;
    println!(
        "{connected} idle device sockets: {} bytes each ({before} -> {after} bytes resident)",
        after.saturating_sub(before) / connected.max(1)
    );
    drop((stdin, warm));
    child.wait()?;
    Ok(())
}

/// Connects a device for each token on standard input, then waits until the input ends.
fn clients(address: &str) -> anyhow::Result<()> {
    let mut sockets = Vec::new();
    let mut lines = std::io::stdin().lock().lines();
    for token in lines.by_ref() {
        let token = token?;
        if token.is_empty() {
            break;
        }
        sockets.push(connect(address, &token)?);
    }
    println!("ready");
    for line in lines {
        line?;
    }
    Ok(())
}

/// Opens a device socket by hand and reads until the welcome has come.
fn connect(address: &str, token: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /ws/device HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         authorization: Bearer {token}\r\n\r\n"
    )?;
    let mut seen = Vec::new();
    let mut part = [0; 512];
    while !String::from_utf8_lossy(&seen).contains("heartbeat_s") {
        let read = stream.read(&mut part)?;
        anyhow::ensure!(read > 0, "closed: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..read]);
    }
    Ok(stream)
}

/// The resident memory of this process, bytes.
fn resident() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or_else(|| anyhow::anyhow!("no VmRSS in /proc/self/status"))?;
    let kib: usize = line
        .split_whitespace()
        .nth(1)
        .ok_or_else(|| anyhow::anyhow!("an empty VmRSS line"))?
        .parse()?;
    Ok(kib * 1024)
}
