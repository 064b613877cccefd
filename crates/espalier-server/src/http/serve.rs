//! Accepting connections: HTTP/1.1 with upgrades, bounded patience, and an end that finishes what it began.

use super::Site;
use crate::{AppState, site};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

/// How long a client may take from connecting (or its last answer) to the end of its next request's headers.
/// Longer than a board's usual interval, so that it can keep its connection.
const HEADER_PATIENCE: Duration = Duration::from_secs(75);
/// How long requests that run may take to finish once the server stops.
const FAREWELL: Duration = Duration::from_secs(10);
/// A pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the app on every listener until its `shutdown` is cancelled, then lets running requests finish.
pub async fn serve(app: AppState, listeners: Vec<TcpListener>) {
    let site = site(app.clone());
    let open = TaskTracker::new();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, site.clone(), app.clone(), open.clone()));
    }
    accepting.join_all().await;
    open.close();
    if tokio::time::timeout(FAREWELL, open.wait()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

/// Serves one connection; after the app's `shutdown` it ends with the request that runs.
async fn converse(stream: TcpStream, peer: SocketAddr, site: Site, app: AppState) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let site = site.clone();
        async move { Ok::<_, Infallible>(site.answer(request.map(Body::new)).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = app.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn accept(listener: TcpListener, site: Site, app: AppState, open: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = app.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Small frames must leave at once: a switch is pressed, a board obeys.
                let _ = stream.set_nodelay(true);
                open.spawn(converse(stream, peer, site.clone(), app.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
