//! `demo`: the server with an account, twelve living boards, a dashboard, and firmware to roll out.

mod kit;

use crate::cli::DemoArgs;
use crate::firmware;
use crate::provision::{Server, Wanted};
use crate::settings::Settings;
use crate::{logging, serve};
use anyhow::{Context, anyhow};
use espalier_image::chip::Chip;
use espalier_image::keys::{PrivateKey, sign};
use espalier_image::manifest;
use espalier_model::Role;
use espalier_server::{AppState, identity};
use espalier_sim::firmware::{Fault, Firmware};
use espalier_sim::{BoardKind, BoardSpec, Fleet, SimOptions, demo_fleet};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// The account that owns the boards.
const USERNAME: &str = "demo";
/// The tag of the boards.
const TAG: &str = "demo";
/// The dashboard's name.
const DASHBOARD: &str = "My first dashboard";

/// The file with the key that signs the demo's firmware: of this demo only, and not to be used for anything real.
const KEY_FILE: &str = "demo-signing.key";
/// The folder with the flash of the boards.
const FLASH_DIR: &str = "demo-boards";
/// Bytes of the demo's firmware.
const FIRMWARE_SIZE: usize = 256 * 1024;
/// Bytes per second of the boards' downloads: slow enough to be watched.
const DOWNLOAD_RATE: u32 = 32 * 1024;
/// What there is to install: version, fault, channel, what is new.
const RELEASES: [(&str, Fault, &str, &str); 3] = [
    (
        "1.0.0",
        Fault::None,
        "stable",
        "What the boards have from the factory.",
    ),
    (
        "1.1.0",
        Fault::None,
        "stable",
        "A good one: roll it out and watch the waves.",
    ),
    (
        "1.2.0",
        Fault::SelfTest,
        "beta",
        "A bad one, on purpose: the boards find that it does not work with their hardware and take the old one back, and the \
         rollout stops by itself.",
    ),
];

/// Runs the demo until a signal ends it.
pub async fn run(settings: Settings, _args: DemoArgs) -> anyhow::Result<()> {
    let _guard = logging::start(&settings.config)?;
    let stop = serve::on_signal()?;
    let (until, data) = (stop.clone(), settings.config.data.clone());
    serve::serve(settings, stop, |app, url| async move {
        populate(&app, &url, &data, &until).await
    })
    .await
}

async fn populate(
    app: &AppState,
    url: &str,
    data: &Path,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let account = match identity::account_named(app, USERNAME)
        .await
        .map_err(|e| anyhow!("{e}"))?
    {
        Some(account) => account,
        None => identity::create_account_without_password(
            app,
            "demo@espalier.local",
            USERNAME,
            Role::Owner,
        )
        .await
        .map_err(|e| anyhow!("{e}"))?,
    };
    let session = identity::open_session(app, account)
        .await
        .map_err(|e| anyhow!("{e}"))?;
    let server = Server::new(url, &session)?;
    let wanted = demo_fleet().map(|b| Wanted {
        kind: b.kind,
        name: b.name.to_owned(),
        outage: b.outage,
    });
    let specs = server.boards(TAG, wanted.into()).await?;
    dashboard(&server, &specs).await?;
    let key = signing_key(data)?;
    releases(&server, &key).await?;
    kit::upload(&server, &key).await?;
    let options = SimOptions {
        firmware: RELEASES[0].0.to_owned(),
        firmware_size: FIRMWARE_SIZE,
        download_rate: Some(DOWNLOAD_RATE),
        flash_dir: Some(data.join(FLASH_DIR)),
        keys: vec![*key.public().bytes()],
        ..SimOptions::new(url)
    };
    let fleet = Fleet::run(specs, &options, stop)?;
    let link = identity::invite_link_for(app, account)
        .await
        .map_err(|e| anyhow!("{e}"))?;
    println!("listening on {url}");
    println!(
        "\nTwelve simulated boards are coming to life. Sign in with this one-time link (account `{USERNAME}`):\n\n  {link}\n"
    );
    println!(
        "They run firmware 1.0.0. To roll out: release 1.1.0 is good, 1.2.0 is bad on purpose. Both are signed with {}, a key of this demo only.\n",
        data.join(KEY_FILE).display()
    );
    println!("API: {url}/docs    Health: {url}/health    Stop: Ctrl-C");
    // The boards stop with the same signal as the server; nobody has to wait for them here.
    drop(fleet);
    Ok(())
}

/// Reads the demo's signing key, or makes it at the first start.
fn signing_key(data: &Path) -> anyhow::Result<PrivateKey> {
    let file = data.join(KEY_FILE);
    if !file.exists() {
        let key = PrivateKey::from_seed(&espalier_server::random::bytes());
        firmware::write_new(&file, &key.to_file(), true)?;
    }
    firmware::private_key(&file)
}

/// Makes sure that the account trusts the key and has the demo's firmware and releases.
async fn releases(server: &Server, key: &PrivateKey) -> anyhow::Result<()> {
    let trust = json!({ "name": "Demo", "public_key": key.public().to_file() });
    server
        .ask(Method::POST, "/firmware/keys", Some(&trust))
        .await?;
    let there = server.ask(Method::GET, "/releases", None).await?;
    let there: BTreeSet<&str> = there
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|release| release["version"].as_str())
        .collect();
    let chips: BTreeSet<&str> = demo_fleet().iter().map(|board| board.kind.chip()).collect();
    for (version, fault, channel, notes) in RELEASES {
        if there.contains(version) {
            continue;
        }
        let mut images = Vec::new();
        for chip in &chips {
            let chip = Chip::from_name(chip).context("a board has an unknown chip")?;
            let image = Firmware {
                fault,
                size: FIRMWARE_SIZE,
                ..Firmware::new(chip, version)
            }
            .image();
            let manifest = manifest::of(&image).map_err(|error| anyhow!("{error}"))?;
            let signed = sign(&manifest, key).map_err(|error| anyhow!("{error}"))?;
            images.push(server.upload(&image, &signed).await?);
        }
        let body =
            json!({ "version": version, "channel": channel, "notes": notes, "firmware": images });
        server.ask(Method::POST, "/releases", Some(&body)).await?;
    }
    Ok(())
}

/// Makes a dashboard that shows and switches something, unless there is one already.
async fn dashboard(server: &Server, specs: &[BoardSpec]) -> anyhow::Result<()> {
    let existing = server.ask(Method::GET, "/dashboards", None).await?;
    if existing.as_array().is_some_and(|all| !all.is_empty()) {
        return Ok(());
    }
    let body = json!({ "name": DASHBOARD, "description": "What the simulated boards measure, and their switches" });
    let made = server.ask(Method::POST, "/dashboards", Some(&body)).await?;
    for (kind, widget) in widgets() {
        let Some(board) = specs.iter().find(|spec| spec.kind == kind) else {
            continue;
        };
        let mut body = widget;
        body["dashboard_id"] = made["_id"].clone();
        body["device_id"] = json!(board.device_id);
        server.ask(Method::POST, "/widgets", Some(&body)).await?;
    }
    Ok(())
}

fn widgets() -> Vec<(BoardKind, Value)> {
    vec![
        (
            BoardKind::WeatherStation,
            json!({ "type": "chart", "label": "Outside", "config": { "key": "temperature", "unit": "°C" } }),
        ),
        (
            BoardKind::Thermostat,
            json!({ "type": "gauge", "label": "Living room", "config": { "key": "temperature", "unit": "°C", "min": 5, "max": 30 } }),
        ),
        (
            BoardKind::Lamp,
            json!({ "type": "led", "label": "Desk lamp", "config": { "virtual_pin": "v0" } }),
        ),
        (
            BoardKind::SmartPlug,
            json!({ "type": "telemetry", "label": "Coffee machine", "config": { "key": "power", "unit": "W" } }),
        ),
        (
            BoardKind::RelayBoard,
            json!({ "type": "switch", "label": "Dust extractor", "config": { "key": "relay1" } }),
        ),
        (
            BoardKind::Plant,
            json!({ "type": "telemetry", "label": "Monstera", "config": { "key": "soil_moisture", "unit": "%" } }),
        ),
    ]
}
