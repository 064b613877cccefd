//! What a running server holds, and how it starts and stops.

use crate::{Clock, Config, control, devices, http, identity, live, ops, ota, screens, telemetry};
use espalier_db::{Db, Location, params};
use espalier_tsdb::Tsdb;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that requests and background tasks share. There are no global statics.
pub struct App {
    /// The settings; they do not change while the server runs.
    pub config: Config,
    /// The current time.
    pub clock: Clock,
    /// The control plane.
    pub db: Db,
    /// The telemetry engine.
    pub tsdb: Tsdb,
    /// Sessions, API keys and access rules in memory.
    pub identity: identity::State,
    /// Every device in memory.
    pub devices: devices::State,
    /// Counters and settings of ingest.
    pub telemetry: telemetry::State,
    /// Desired and reported state in memory.
    pub control: control::State,
    /// Who watches what.
    pub live: live::State,
    /// Firmware and its rollouts in memory.
    pub ota: ota::State,
    /// Screens that were drawn.
    pub screens: screens::State,
    /// The request limiter.
    pub http: http::State,
    /// Metrics.
    pub ops: ops::State,
    /// Cancelled when the server must finish.
    pub shutdown: CancellationToken,
    /// Set when the server must start anew after it has finished, e.g. after a restore.
    restart: AtomicBool,
    /// Background tasks; stopping waits for them.
    pub tasks: TaskTracker,
}

/// The app as handlers hold it.
#[derive(Clone)]
pub struct AppState(Arc<App>);

impl Deref for AppState {
    type Target = App;
    fn deref(&self) -> &App {
        &self.0
    }
}

impl AppState {
    /// Opens the stores, loads what lives in memory and starts the background tasks.
    ///
    /// # Errors
    /// Fails when a store cannot be opened; the error says which and why.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.data).map_err(|e| {
            anyhow::anyhow!(
                "cannot create the data folder {}: {e}",
                config.data.display()
            )
        })?;
        let db = Db::open(&control_location(&config)?).await?;
        let tsdb = open_telemetry(&config, &db).await?;
        let blobs = ota::blobs::State::open(&config)?;
        ops::archive::apply_pending(&config, &db, &tsdb, &blobs).await?;
        let app = Self(Arc::new(App {
            identity: identity::State::load(&db, &clock).await?,
            devices: devices::State::load(&db).await?,
            telemetry: telemetry::State::load(&db).await?,
            control: control::State::load(&db).await?,
            live: live::State::new(),
            ota: ota::State::load(&db, blobs).await?,
            screens: screens::State::new(),
            http: http::State::new(&config, &clock),
            ops: ops::State::new(&clock),
            shutdown: CancellationToken::new(),
            restart: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            config,
            clock,
            db,
            tsdb,
        }));
        identity::start(&app);
        devices::start(&app);
        telemetry::start(&app);
        control::start(&app);
        live::start(&app);
        ota::start(&app);
        ops::start(&app);
        Ok(app)
    }

    /// Makes the server finish and start anew.
    pub fn restart(&self) {
        self.restart.store(true, Ordering::SeqCst);
        self.shutdown.cancel();
    }

    /// Tells whether the server must start anew after it has finished.
    pub fn wants_restart(&self) -> bool {
        self.restart.load(Ordering::SeqCst)
    }

    /// Finishes what was accepted: stops the tasks, flushes and closes the stores.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.tsdb.close().await {
            tracing::error!(%error, "the telemetry store did not close cleanly; the journal is replayed at the next start");
        }
        self.db.close().await;
    }
}

/// Opens the telemetry engine beside the control plane: a second file, or a second schema.
async fn open_telemetry(config: &Config, db: &Db) -> anyhow::Result<Tsdb> {
    let mut options = espalier_tsdb::Options::default();
    let Some(pool) = db.postgres_pool() else {
        return Ok(Tsdb::open_embedded(&config.data.join("telemetry.db"), options).await?);
    };
    let schema = db
        .read(|c| {
            c.query_one("select current_schema()::text as name", params![])?
                .get::<String>("name")
        })
        .await
        .map_err(|e: espalier_db::Error| e)?;
    if schema != "public" {
        options.postgres_schema = format!("{schema}_telemetry");
    }
    Ok(Tsdb::open_postgres(pool, options).await?)
}

/// Where the control plane lives; makes the data folder when it is missing.
///
/// # Errors
/// Fails when the data folder cannot be made.
pub fn control_location(config: &Config) -> anyhow::Result<Location> {
    std::fs::create_dir_all(&config.data).map_err(|e| {
        anyhow::anyhow!(
            "cannot create the data folder {}: {e}",
            config.data.display()
        )
    })?;
    Ok(match &config.database_url {
        Some(url) => Location::Postgres(url.clone()),
        None => Location::Sqlite(config.data.join("espalier.db")),
    })
}
