//! Ingest over HTTP: single posts against a bare axum handler, batches against the engine alone.

use crate::load;
use crate::report::{Report, median};
use axum::extract::State;
use axum::routing::post;
use espalier_model::Role;
use espalier_server::{AppState, Clock, Config, devices, identity};
use espalier_tsdb::{Options, Point, Tsdb, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Connections that post at the same time.
const CONNECTIONS: usize = 64;
/// Requests of each connection in one round.
const EACH: usize = 500;
/// Rounds; A and B take turns and the median ratio counts.
const ROUNDS: usize = 7;

/// A server with a folder of its own, and devices to post as.
pub struct Ours {
    /// The app.
    pub app: AppState,
    /// Where it listens.
    pub address: SocketAddr,
    /// Ids and tokens.
    pub devices: Vec<(String, String)>,
    /// The owner's access token.
    pub owner: String,
    _dir: tempfile::TempDir,
}

impl Ours {
    /// Starts a server with `devices` devices.
    pub async fn start(devices: usize) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = Config {
            data: dir.path().to_owned(),
            rate_limit_requests: 0,
            allow_unsigned: true,
            ..Config::default()
        };
        let app = AppState::start(config, Clock::default()).await?;
        // Without a password: hashing one takes 19 MiB that would count as the server's.
        let owner = identity::create_account_without_password(
            &app,
            "bench@example.com",
            "bench",
            Role::Member,
        )
        .await?;
        let token = identity::open_session(&app, owner).await?;
        let mut made = Vec::new();
        for n in 0..devices {
            let (device, token) = devices::create(&app, owner, &format!("bench {n}")).await?;
            made.push((device.oid.to_string(), token));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(espalier_server::http::serve(app.clone(), vec![listener]));
        Ok(Self {
            app,
            address,
            devices: made,
            owner: token,
            _dir: dir,
        })
    }
}

#[derive(Deserialize)]
struct BareBody {
    device_token: String,
    data: BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct BareAnswer {
    message: &'static str,
    keys: usize,
}

/// The peer: parses the same body, stores nothing, answers.
async fn bare(
    State(count): State<Arc<AtomicU64>>,
    axum::Json(body): axum::Json<BareBody>,
) -> axum::Json<BareAnswer> {
    count.fetch_add(body.device_token.len() as u64, Ordering::Relaxed);
    axum::Json(BareAnswer {
        message: "ok",
        keys: body.data.len(),
    })
}

async fn start_bare() -> anyhow::Result<SocketAddr> {
    let router = axum::Router::new()
        .route("/devices/{id}/telemetry", post(bare))
        .with_state(Arc::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

fn single(devices: &[(String, String)], connection: usize, n: usize) -> Vec<u8> {
    let (id, token) = &devices[connection % devices.len()];
    let body = format!(
        "{{\"device_token\":\"{token}\",\"data\":{{\"temperature\":{}.{},\"humidity\":{}.5,\"v0\":{}}}}}",
        20 + n % 5,
        n % 10,
        40 + n % 20,
        n % 2
    );
    load::post(&format!("/devices/{id}/telemetry"), &body)
}

/// Single posts of three values with durable acknowledgement, against the bare handler.
pub async fn posts(report: &mut Report) -> anyhow::Result<()> {
    let ours = Ours::start(CONNECTIONS).await?;
    let peer = start_bare().await?;
    let devices = Arc::new(ours.devices.clone());
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let request =
            |devices: Arc<Vec<(String, String)>>| move |c: usize, n: usize| single(&devices, c, n);
        let mine = load::run(ours.address, CONNECTIONS, EACH, request(devices.clone())).await?;
        let theirs = load::run(peer, CONNECTIONS, EACH, request(devices.clone())).await?;
        if round > 0 {
            ratios.push(mine / theirs);
            a.push(mine);
            b.push(theirs);
        }
    }
    report.add(
        "single posts, 64 connections",
        format!("{:.2} of a bare axum handler", median(ratios)),
        ">= 0.5",
        format!(
            "{:.0}/s durable against {:.0}/s that store nothing",
            median(a),
            median(b)
        ),
    );
    ours.app.shutdown.cancel();
    Ok(())
}

/// Samples in one batch request.
const SAMPLES: usize = 100;
/// Values of one sample.
const KEYS: usize = 10;
/// Requests per connection in a round of batches.
const BATCHES: usize = 12;
/// Connections that send batches.
const BATCH_CONNECTIONS: usize = 16;

/// Every batch has its own times, so that every point is new.
fn batch_start(round: usize, connection: usize, n: usize) -> i64 {
    let index = (round * BATCH_CONNECTIONS + connection) * BATCHES + n;
    1_700_000_000_000 + i64::try_from(index * SAMPLES * 1000).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn measured(sample: usize, key: usize) -> f64 {
    ((sample * 7 + key * 13) % 500) as f64 / 10.0 + 10.0
}

fn batch_request(
    devices: &[(String, String)],
    round: usize,
    connection: usize,
    n: usize,
) -> Vec<u8> {
    let (id, token) = &devices[connection % devices.len()];
    let start = batch_start(round, connection, n);
    let samples: Vec<_> = (0..SAMPLES)
        .map(|s| {
            let data: serde_json::Map<_, _> = (0..KEYS)
                .map(|k| (format!("key{k}"), json!(measured(s, k))))
                .collect();
            json!({ "ts": start + i64::try_from(s * 1000).unwrap_or(0), "data": data })
        })
        .collect();
    load::post(
        &format!("/devices/{id}/telemetry"),
        &json!({ "device_token": token, "samples": samples }).to_string(),
    )
}

/// The batch form over HTTP, against the engine alone with the same points and the same number of writers.
pub async fn batch(report: &mut Report) -> anyhow::Result<()> {
    let ours = Ours::start(BATCH_CONNECTIONS).await?;
    let dir = tempfile::tempdir()?;
    let engine = Tsdb::open_embedded(&dir.path().join("telemetry.db"), Options::default()).await?;
    let keys: Vec<Arc<str>> = (0..KEYS).map(|k| format!("key{k}").into()).collect();
    let ids: Vec<Uuid> = (0..BATCH_CONNECTIONS)
        .map(|n| Uuid::from_u128(n as u128 + 1))
        .collect();
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let devices = ours.devices.clone();
        // Made before the clock runs: the load must not be what is measured.
        let requests: Arc<Vec<Vec<Vec<u8>>>> = Arc::new(
            (0..BATCH_CONNECTIONS)
                .map(|c| {
                    (0..BATCHES)
                        .map(|n| batch_request(&devices, round, c, n))
                        .collect()
                })
                .collect(),
        );
        let per_second = load::run(ours.address, BATCH_CONNECTIONS, BATCHES, move |c, n| {
            requests[c][n].clone()
        })
        .await?;
        #[expect(clippy::cast_precision_loss, reason = "a count of points")]
        let mine = per_second * (SAMPLES * KEYS) as f64;
        let theirs = engine_alone(&engine, &ids, &keys, round).await?;
        if round > 0 {
            ratios.push(mine / theirs);
            a.push(mine);
            b.push(theirs);
        }
    }
    report.add(
        "batches of 100 samples x 10 values",
        format!("{:.2} of the engine alone", median(ratios)),
        ">= 0.5",
        format!(
            "{:.0} points/s over HTTP against {:.0}",
            median(a),
            median(b)
        ),
    );
    ours.app.shutdown.cancel();
    engine.close().await?;
    Ok(())
}

async fn engine_alone(
    engine: &Tsdb,
    ids: &[Uuid],
    keys: &[Arc<str>],
    round: usize,
) -> anyhow::Result<f64> {
    let batch = |c: usize, n: usize| -> Vec<Point> {
        let start = batch_start(round, c, n);
        let point = |s: usize, k: usize| Point {
            device: ids[c],
            key: keys[k].clone(),
            ts: start + i64::try_from(s * 1000).unwrap_or(0),
            value: Value::Number(measured(s, k)),
        };
        (0..SAMPLES)
            .flat_map(|s| (0..KEYS).map(move |k| (s, k)))
            .map(|(s, k)| point(s, k))
            .collect()
    };
    let work: Vec<Vec<Vec<Point>>> = (0..ids.len())
        .map(|c| (0..BATCHES).map(|n| batch(c, n)).collect())
        .collect();
    let started = Instant::now();
    let writers = work.into_iter().map(|batches| {
        let engine = engine.clone();
        tokio::spawn(async move {
            for batch in batches {
                engine.append(batch).await?;
            }
            anyhow::Ok(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of points")]
    Ok((ids.len() * BATCHES * SAMPLES * KEYS) as f64 / started.elapsed().as_secs_f64())
}
