//! `demo`: the server with an account, twelve living boards and a dashboard.

use crate::cli::DemoArgs;
use crate::provision::{Server, Wanted};
use crate::settings::Settings;
use crate::{logging, serve};
use anyhow::anyhow;
use espalier_model::Role;
use espalier_server::{AppState, identity};
use espalier_sim::{BoardKind, BoardSpec, Fleet, SimOptions, demo_fleet};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The account that owns the boards.
const USERNAME: &str = "demo";
/// The tag of the boards.
const TAG: &str = "demo";
/// The dashboard's name.
const DASHBOARD: &str = "My first dashboard";

/// Runs the demo until a signal ends it.
pub async fn run(settings: Settings, _args: DemoArgs) -> anyhow::Result<()> {
    let _guard = logging::start(&settings.config)?;
    let stop = serve::on_signal()?;
    let until = stop.clone();
    serve::serve(settings, stop, |app, url| async move {
        populate(&app, &url, &until).await
    })
    .await
}

async fn populate(app: &AppState, url: &str, stop: &CancellationToken) -> anyhow::Result<()> {
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
    let fleet = Fleet::run(specs, &SimOptions::new(url), stop)?;
    let link = identity::invite_link_for(app, account)
        .await
        .map_err(|e| anyhow!("{e}"))?;
    println!("listening on {url}");
    println!(
        "\nTwelve simulated boards are coming to life. Sign in with this one-time link (account `{USERNAME}`):\n\n  {link}\n"
    );
    println!("API: {url}/docs    Health: {url}/health    Stop: Ctrl-C");
    // The boards stop with the same signal as the server; nobody has to wait for them here.
    drop(fleet);
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
