//! A million devices matched to a rollout: found, put in line and given to waves, once and for each change.

use crate::report::{Report, median, quantile};
use anyhow::Context;
use espalier_model::ota::rollout::{Ranker, Wave};
use espalier_model::ota::target::{Facts as Asked, Target};
use espalier_model::{AccountId, DeviceId, Role, RolloutId};
use espalier_server::devices::{Device, Facts};
use espalier_server::ota::fleet::Running;
use espalier_server::ota::rollouts::{self, Decision};
use espalier_server::{AppState, Clock, Config, devices, identity};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// Devices.
const DEVICES: u128 = 1_000_000;
/// Rounds; the two take turns and the median counts.
const ROUNDS: usize = 5;
/// Single changes.
const CHANGES: usize = 2_000;
/// The release that is rolled out.
const RELEASE: &str = "00000000-0000-7000-8000-000000000002";

async fn start(dir: &std::path::Path) -> anyhow::Result<AppState> {
    let config = Config {
        data: dir.to_owned(),
        rate_limit_requests: 0,
        ..Config::default()
    };
    AppState::start(config, Clock::default()).await
}

/// Puts a release with one image into the library.
fn publish(dir: &std::path::Path, owner: AccountId) -> anyhow::Result<()> {
    let db = rusqlite::Connection::open(dir.join("espalier.db"))?;
    let (firmware, owner) = ("00000000-0000-7000-8000-000000000001", owner.to_string());
    db.execute(
        "insert into firmware (id, owner_id, sha256, md5, size, chip, project, version, secure_version, elf_sha256, facts, legacy_key, \
         filename, description, manifest, created_by, created_at) values (?1, ?2, ?3, ?4, 1000000, 'esp32c3', 'p', '2.0.0', 0, ?3, '{}', \
         'K', 'a.bin', '', 'signed', ?2, 0)",
        rusqlite::params![firmware, owner, vec![2_u8; 32], vec![2_u8; 16]],
    )?;
    db.execute(
        "insert into firmware_release (id, owner_id, version, channel, notes, created_by, created_at) \
         values (?1, ?2, '2.0.0', 'stable', '', ?2, 0)",
        rusqlite::params![RELEASE, owner],
    )?;
    db.execute(
        "insert into firmware_release_image (release_id, firmware_id) values (?1, ?2)",
        rusqlite::params![RELEASE, firmware],
    )?;
    Ok(())
}

fn floor(n: impl std::fmt::Display) -> Box<[Box<str>]> {
    let tag = format!("floor {n}").into_boxed_str();
    Box::new([tag])
}

/// Fills the registry; nothing of it is stored.
async fn fill(app: &AppState, owner: AccountId) -> anyhow::Result<()> {
    let (model, _) = devices::create(app, owner, "model").await?;
    for n in 1..DEVICES {
        let mut device = (*model).clone();
        let spread = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & u128::from(u64::MAX);
        device.id = DeviceId(Uuid::from_u128((n << 64) | spread));
        device.oid = format!("{n:024x}").parse()?;
        device.name = format!("board {n}");
        let kind = if n % 4 == 0 { "lamp" } else { "plug" };
        device.kind = Some(Box::from(kind));
        device.tags = floor(n % 10);
        device.token_digest[..16].copy_from_slice(&n.to_be_bytes());
        device.facts = Some(Box::new(Facts {
            firmware_version: Some(format!("1.{}.0", n % 9)),
            chip: Some("esp32c3".to_owned()),
            ..Facts::default()
        }));
        app.devices.put(Arc::new(device));
    }
    Ok(())
}

async fn post(
    app: &AppState,
    address: std::net::SocketAddr,
    token: &str,
    path: &str,
    body: Value,
) -> anyhow::Result<Value> {
    anyhow::ensure!(!app.shutdown.is_cancelled(), "the server has stopped");
    let (mut stream, body) = (TcpStream::connect(address).await?, body.to_string());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    serde_json::from_str(body).with_context(|| format!("{path}: {answer}"))
}

fn plain(target: &Target, all: &[Arc<Device>]) -> usize {
    let means = |device: &&Arc<Device>| {
        target.means(&Asked {
            oid: device.oid,
            name: &device.name,
            kind: device.kind.as_deref(),
            groups: &device.groups,
            tags: &device.tags,
            chip: device
                .facts
                .as_ref()
                .and_then(|facts| facts.chip.as_deref()),
            version: device
                .facts
                .as_ref()
                .and_then(|facts| facts.firmware_version.as_deref()),
        })
    };
    all.iter().filter(means).count()
}

fn target() -> anyhow::Result<Target> {
    let tree = json!({ "and": [{ "kinds": ["plug"] }, { "version": "< 1.8.0" }, { "not": { "tags": ["floor 3"] } }] });
    let mut target: Target = serde_json::from_value(tree)?;
    target.check().map_err(anyhow::Error::msg)?;
    Ok(target)
}

/// Matching once, and after a change.
pub async fn matching(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let app = start(dir.path()).await?;
    let owner =
        identity::create_account_without_password(&app, "bench@example.com", "bench", Role::Member)
            .await?;
    app.stop().await;
    publish(dir.path(), owner)?;
    let app = start(dir.path()).await?;
    fill(&app, owner).await?;
    once(report, &app, owner)?;
    changes(report, &app, owner).await?;
    app.shutdown.cancel();
    Ok(())
}

fn once(report: &mut Report, app: &AppState, owner: AccountId) -> anyhow::Result<()> {
    let target = target()?;
    let waves = [
        Wave::Percent(1),
        Wave::Percent(10),
        Wave::Percent(50),
        Wave::Percent(100),
    ];
    let all = app.devices.visible_to(owner);
    let (mut ours, mut theirs, mut found) = (Vec::new(), Vec::new(), 0);
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let ranker = Ranker::new(RolloutId(Uuid::from_u128(round as u128)));
        let matched = rollouts::matched(app, owner, None, &target, &waves, ranker);
        let mine = begun.elapsed().as_secs_f64();
        found = matched.devices.len();
        let begun = Instant::now();
        anyhow::ensure!(plain(&target, &all) == found, "both find the same devices");
        let other = begun.elapsed().as_secs_f64();
        if round > 0 {
            ours.push(mine);
            theirs.push(other);
        }
    }
    let (mine, other) = (median(ours), median(theirs));
    report.add(
        "1,000,000 devices matched to a rollout, once",
        format!("{mine:.3} s"),
        "< 1 s",
        format!("{found} found, ranked and cut into 4 waves; {other:.3} s to filter a list with the same conditions"),
    );
    Ok(())
}

async fn changes(report: &mut Report, app: &AppState, owner: AccountId) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(espalier_server::http::serve(app.clone(), vec![listener]));
    let token = identity::open_session(app, owner).await?;
    let plan = json!({ "waves": [{ "percent": 1 }, { "percent": 100 }] });
    let body =
        json!({ "release_id": RELEASE, "target": serde_json::to_value(target()?)?, "plan": plan });
    let made = post(app, address, &token, "/rollouts", body).await?;
    let id = made["id"]
        .as_str()
        .with_context(|| format!("a rollout: {made}"))?
        .to_owned();
    let begun = Instant::now();
    let started = post(
        app,
        address,
        &token,
        &format!("/rollouts/{id}/start"),
        json!({}),
    )
    .await?;
    let start = begun.elapsed().as_secs_f64();
    report.add(
        "a rollout to 1,000,000 devices started",
        format!("{start:.3} s"),
        "< 3 s",
        format!(
            "over HTTP, durable, {} devices in it",
            started["counts"]["members"]
        ),
    );
    let all = app.devices.visible_to(owner);
    let (mut each, mut kept, mut offers) = (Vec::new(), Vec::new(), 0_usize);
    let running = Running {
        version: Some("1.0.0".to_owned()),
        chip: Some("esp32c3".to_owned()),
        sha256: Some([1; 32]),
        ..Running::default()
    };
    for n in 0..CHANGES {
        let mut changed = (*all[n * 400 + 1]).clone();
        changed.tags = floor(n % 7);
        let changed = Arc::new(changed);
        let begun = Instant::now();
        app.devices.put(changed.clone());
        let decision = rollouts::decide(app, &changed, &running);
        each.push(begun.elapsed().as_secs_f64() * 1e6);
        offers += usize::from(matches!(decision, Decision::Offer(_)));
        let begun = Instant::now();
        for _ in 0..100 {
            std::hint::black_box(rollouts::decide(app, &changed, &running));
        }
        kept.push(begun.elapsed().as_secs_f64() * 1e4);
    }
    report.add(
        "a change matched to a rollout of 1,000,000",
        format!("{:.1} µs", median(each.clone())),
        "< 100 µs",
        format!("the registry, the match and the decision; 99 % below {:.0} µs; {offers} of {CHANGES} were offered it", quantile(each, 0.99)),
    );
    report.add(
        "a decision when nothing changed",
        format!("{:.2} µs", median(kept)),
        "~ 1 µs",
        "of one board, asked again and again".to_owned(),
    );
    Ok(())
}
