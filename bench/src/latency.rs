//! From the acknowledged post to the frame on an app socket, while others post as fast as they can.

use crate::http::Ours;
use crate::load::{self, Connection};
use crate::report::{Report, median, quantile};
use futures_util::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Connections that make the load.
const LOAD: usize = 16;
/// Posts that are timed.
const POSTS: usize = 2_000;

/// Measures how long after the acknowledgement the frame is on the socket; a frame before it counts as 0.
pub async fn post_to_frame(report: &mut Report) -> anyhow::Result<()> {
    let ours = Ours::start(LOAD + 1).await?;
    let mut request = format!("ws://{}/ws", ours.address).into_client_request()?;
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {}", ours.owner).parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let (probe_id, probe_token) = ours.devices[LOAD].clone();
    let (send, mut frames) = tokio::sync::mpsc::unbounded_channel();
    let wanted = probe_id.clone();
    let reader = tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let at = Instant::now();
            if let Message::Text(text) = message
                && text.contains("telemetry_update")
                && text.contains(&wanted)
                && send.send(at).is_err()
            {
                return;
            }
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let mut loaders = Vec::new();
    for (id, token) in ours.devices.clone().into_iter().take(LOAD) {
        let (stop, mut connection) = (stop.clone(), Connection::open(ours.address).await?);
        loaders.push(tokio::spawn(async move {
            let body = format!(
                "{{\"device_token\":\"{token}\",\"data\":{{\"temperature\":21.5,\"humidity\":40}}}}"
            );
            let request = load::post(&format!("/devices/{id}/telemetry"), &body);
            let mut count = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                connection.ask(&request).await?;
                count += 1;
            }
            anyhow::Ok(count)
        }));
    }
    let mut probe = Connection::open(ours.address).await?;
    let mut delays = Vec::new();
    let started = Instant::now();
    for n in 0..POSTS {
        let body = format!("{{\"device_token\":\"{probe_token}\",\"data\":{{\"n\":{n}}}}}");
        probe
            .ask(&load::post(
                &format!("/devices/{probe_id}/telemetry"),
                &body,
            ))
            .await?;
        let acknowledged = Instant::now();
        let frame = frames
            .recv()
            .await
            .ok_or_else(|| anyhow::anyhow!("the socket closed"))?;
        delays.push(frame.saturating_duration_since(acknowledged).as_secs_f64() * 1000.0);
    }
    let seconds = started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut posts = 0;
    for loader in loaders {
        posts += loader.await??;
    }
    reader.abort();
    #[expect(clippy::cast_precision_loss, reason = "a count of posts")]
    let rate = posts as f64 / seconds;
    report.add(
        "acknowledged post to frame, p99",
        format!("{:.2} ms", quantile(delays.clone(), 0.99)),
        "< 5 ms",
        format!(
            "p50 {:.2} ms, {POSTS} posts beside {rate:.0} posts/s of load",
            median(delays)
        ),
    );
    ours.app.shutdown.cancel();
    Ok(())
}
