//! A fresh database per test, on either engine; cheap enough to have one for every test.
//!
//! SQLite lives in a folder of the caller's. PostgreSQL gets a schema of its own inside the database that
//! `TEST_DATABASE_URL` names, so tests run side by side.

use crate::{Engine, Location};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// The engines that tests can use here: SQLite always, PostgreSQL when `TEST_DATABASE_URL` is set.
pub fn engines() -> Vec<Engine> {
    let mut engines = vec![Engine::Sqlite];
    if url().is_some() {
        engines.push(Engine::Postgres);
    }
    engines
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests take the address of their database from the environment"
)]
fn url() -> Option<String> {
    std::env::var("TEST_DATABASE_URL")
        .ok()
        .filter(|url| !url.is_empty())
}

/// A new and empty place for a database: a file in `dir`, or a schema of its own.
///
/// # Panics
/// Panics when PostgreSQL cannot be reached or `TEST_DATABASE_URL` is not set for it.
pub async fn location(engine: Engine, dir: &Path) -> Location {
    match engine {
        Engine::Sqlite => Location::Sqlite(dir.join("espalier.db")),
        Engine::Postgres => Location::Postgres(schema().await),
    }
}

/// Creates an empty schema and returns a URL whose connections live in it.
///
/// # Panics
/// As [`location`].
pub async fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let url = url().expect("set TEST_DATABASE_URL, or run `cargo xtask test`");
    // Several test processes share the database: the process and a counter make the name unique; an old
    // schema of the same name is from a run that is over.
    let name = format!(
        "t_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("PostgreSQL answers");
    let driver = tokio::spawn(connection);
    client
        .batch_execute(&format!(
            "drop schema if exists {name} cascade; create schema {name}"
        ))
        .await
        .expect("schema");
    drop(client);
    let _ = driver.await;
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-csearch_path%3D{name}")
}
