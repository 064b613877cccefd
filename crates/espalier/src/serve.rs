//! `serve`: listeners, signals, and starting anew after a restore.

use crate::run_file::RunFile;
use crate::settings::Settings;
use crate::{logging, settings};
use anyhow::Context;
use espalier_server::{AppState, Clock, Config, identity};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

/// Connections that may wait to be accepted, for the moment when a whole fleet comes back at once.
const BACKLOG: u32 = 4096;

/// Runs the server until a signal ends it.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let _guard = logging::start(&settings.config)?;
    let stop = on_signal()?;
    serve(settings, stop, |app, url| async move {
        println!("listening on {url}");
        if let Some(link) = identity::setup_link(&app) {
            println!("\nCreate the first account with this one-time link:\n\n  {link}\n");
        }
        Ok(())
    })
    .await
}

/// Runs the server until `stop` is cancelled; `ready` is called once, when it answers.
pub async fn serve<F, Fut>(
    settings: settings::Settings,
    stop: CancellationToken,
    ready: F,
) -> anyhow::Result<()>
where
    F: FnOnce(AppState, String) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let mut config = settings.config;
    // Each connection is a file descriptor; the usual soft limit of 1,024 is none for a fleet.
    let _ = rlimit::increase_nofile_limit(1 << 20);
    let mut listeners = bind(&config).await?;
    let address = listeners[0].local_addr()?;
    config.port = address.port();
    let url = local_url(address);
    let mut ready = Some(ready);
    loop {
        let app = AppState::start(config.clone(), Clock::default()).await?;
        let token = app.ops.local_token().to_owned();
        let _run_file = RunFile::create(&config.data, &url, &token)?;
        let linked = link(&app, &stop);
        let serving = tokio::spawn(espalier_server::http::serve(app.clone(), listeners));
        if let Some(ready) = ready.take() {
            ready(app.clone(), url.clone()).await?;
        }
        let joined = serving.await;
        app.stop().await;
        linked.abort();
        joined.context("the server's main task failed")?;
        if !app.wants_restart() || stop.is_cancelled() {
            return Ok(());
        }
        tracing::info!("starting anew");
        listeners = bind(&config).await?;
    }
}

/// Ends the app when `stop` is cancelled.
fn link(app: &AppState, stop: &CancellationToken) -> tokio::task::JoinHandle<()> {
    let (shutdown, stop) = (app.shutdown.clone(), stop.clone());
    tokio::spawn(async move {
        stop.cancelled().await;
        shutdown.cancel();
    })
}

async fn bind(config: &Config) -> anyhow::Result<Vec<TcpListener>> {
    let main = format!("{}:{}", bracketed(&config.host), config.port);
    let mut listeners = Vec::new();
    for address in std::iter::once(&main).chain(&config.extra_listen) {
        listeners.push(bind_one(address).await?);
    }
    Ok(listeners)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

async fn bind_one(address: &str) -> anyhow::Result<TcpListener> {
    let found = tokio::net::lookup_host(address).await;
    let resolved = found
        .with_context(|| {
            format!("{address} is not an address to listen on; use e.g. 127.0.0.1:8000")
        })?
        .next()
        .with_context(|| format!("{address} has no address"))?;
    let open = || {
        let socket = if resolved.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(resolved)?;
        socket.listen(BACKLOG)
    };
    open().with_context(|| {
        format!("cannot listen on {address}; if another program has the port, choose one with --listen ADDR:PORT")
    })
}

/// The URL under which this machine reaches the listener.
fn local_url(address: SocketAddr) -> String {
    let ip = address.ip();
    if ip.is_unspecified() {
        return format!("http://127.0.0.1:{}", address.port());
    }
    format!("http://{address}")
}

/// Cancelled by Ctrl-C or SIGTERM.
pub fn on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let cancel = token.clone();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("stopping…");
        cancel.cancel();
    });
    Ok(token)
}
