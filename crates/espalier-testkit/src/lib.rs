//! `TestApp`: a real server on a real database, one per test, without a socket unless a test asks for one.
//!
//! ```ignore
//! story!(a_new_device_can_report, |app| async move {
//!     let ada = app.person("ada").await;
//!     let (device, token) = ada.device("balcony").await;
//!     let answer = app.anonymous().post(&format!("/devices/{device}/telemetry"), json!({…})).await;
//!     assert_eq!(answer.status, 200);
//! });
//! ```
//! [`story!`] makes one test per engine: `…::sqlite` and `…::postgres` (the latter says so and returns when
//! `TEST_DATABASE_URL` is not set; `cargo xtask test` always sets it). The clock stands still until
//! [`TestApp::clock`] is advanced.

mod boards;
mod client;
mod events;
mod socket;

pub use boards::SimulatedBoard;
pub use client::{Answer, Client};
pub use espalier_db::Engine;
pub use espalier_sim::BoardKind;
pub use events::EventStream;
pub use socket::{Server, Socket};

use espalier_db::{Location, testing};
use espalier_model::{AccountId, Role};
use espalier_server::{AppState, Clock, Config, identity};

/// 2026-03-01T12:00:00Z, the moment at which every test begins.
pub const START_MS: i64 = 1_772_366_400_000;

/// The password of every person that a test creates.
pub const PASSWORD: &str = "Correct-horse-1";

/// A running app with its own database; everything it made is removed when it is dropped.
pub struct TestApp {
    /// The app itself, to reach a feature's face.
    pub app: AppState,
    /// The clock that the app asks.
    pub clock: Clock,
    /// Making it describes every route, which takes a while: once, not per client.
    router: axum::Router,
    engine: Engine,
    config: Config,
    dir: tempfile::TempDir,
}

/// A person with an account and a session.
pub struct Person {
    /// The account.
    pub account: AccountId,
    /// A client that signs every request with the person's access token.
    pub client: Client,
    /// The access token.
    pub token: String,
    app: AppState,
}

impl TestApp {
    /// Starts an app with the default settings.
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }

    /// Starts an app whose settings `change` has changed. Sign-up is open and the rate limit out of the way
    /// unless `change` says otherwise.
    pub async fn with(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let database_url = match testing::location(engine, dir.path()).await {
            Location::Sqlite(_) => None,
            Location::Postgres(url) => Some(url),
        };
        let mut config = Config {
            data: dir.path().to_owned(),
            database_url,
            signup: espalier_server::config::Signup::Open,
            rate_limit_requests: 1_000_000,
            ..Config::default()
        };
        change(&mut config);
        let clock = Clock::fixed(START_MS);
        let app = AppState::start(config.clone(), clock.clone())
            .await
            .expect("the app starts");
        Self {
            router: espalier_server::router(app.clone()),
            app,
            clock,
            engine,
            config,
            dir,
        }
    }

    /// Which engine this app runs on.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The app's data folder.
    pub fn data(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Stops the app cleanly and starts it again on the same data.
    pub async fn restart(&mut self) {
        self.app.stop().await;
        self.app = AppState::start(self.config.clone(), self.clock.clone())
            .await
            .expect("the app starts again");
        self.router = espalier_server::router(self.app.clone());
    }

    /// A client without any credential.
    pub fn anonymous(&self) -> Client {
        Client::new(self.router.clone())
    }

    /// A new person with the role of a new account.
    pub async fn person(&self, name: &str) -> Person {
        self.person_with(name, Role::Member).await
    }

    /// A new person with any role.
    pub async fn person_with(&self, name: &str, role: Role) -> Person {
        let new = identity::NewAccount {
            email: format!("{name}@example.com"),
            username: name.to_owned(),
            password: PASSWORD.to_owned(),
            full_name: None,
            role,
        };
        let account = identity::create_account(&self.app, new)
            .await
            .expect("the account is created");
        let token = identity::open_session(&self.app, account)
            .await
            .expect("a session opens");
        let client = self.anonymous().bearer(&token);
        Person {
            account,
            client,
            token,
            app: self.app.clone(),
        }
    }

    /// Serves this app on a loopback port, for tests that need real sockets.
    pub async fn serve(&self) -> Server {
        Server::start(self.app.clone()).await
    }
}

impl Person {
    /// A new device of this person: its 24-digit id and its token.
    pub async fn device(&self, name: &str) -> (String, String) {
        let (device, token) = espalier_server::devices::create(&self.app, self.account, name)
            .await
            .expect("the device is created");
        (device.oid.to_string(), token)
    }
}

/// Makes one test per engine out of an async body that gets a [`TestApp`].
#[macro_export]
macro_rules! story {
    ($(#[$meta:meta])* $name:ident, |$app:ident| $body:expr) => {
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn run($app: $crate::TestApp) {
                $body.await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run($crate::TestApp::new($crate::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if $crate::postgres_available() {
                    run($crate::TestApp::new($crate::Engine::Postgres).await).await;
                } else {
                    eprintln!("skipped: set TEST_DATABASE_URL, or run `cargo xtask test`");
                }
            }
        }
    };
}

/// Tells whether tests can use PostgreSQL here.
pub fn postgres_available() -> bool {
    testing::engines().contains(&Engine::Postgres)
}
