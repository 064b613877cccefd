//! One concrete [`Db`] over SQLite or PostgreSQL, chosen by URL; transactions, migrations, snapshots.
//!
//! It is the only crate of the control plane that knows a database driver. It is not an ORM and has no
//! trait per repository: each feature of the server keeps its SQL in its own `store.rs` and runs it on a
//! [`Conn`].
//!
//! # The dialect
//! SQL is written once, in the part both engines share: `$1` placeholders in order of first use,
//! `returning`, `on conflict … do update`, text ids, `bigint` for milliseconds UTC and for 0/1, `double
//! precision`, JSON as `text`, `bytea` for bytes. Where the engines differ, a branch wraps **one
//! statement** ([`Conn::engine`]), never a decision.
//!
//! # Transactions
//! [`Db::write`] runs a closure in one serialisable transaction. On SQLite one writer thread groups the
//! closures that wait, gives each its own savepoint and makes all of them durable with one commit
//! (`synchronous=FULL`); the caller gets its answer after that commit. On PostgreSQL the closure runs on a
//! blocking thread at `serializable` and is repeated when the server reports a conflict, so a closure must
//! have no effects outside the database.
//! [`Db::read`] runs a closure on a consistent snapshot and never waits for the writer.

mod error;
mod postgres;
mod sqlite;
pub mod testing;
mod value;

pub use error::Error;
pub use value::{FromValue, Row, Value};

use std::path::PathBuf;
use std::sync::Arc;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

mod embedded {
    //! The migrations, embedded at compile time; forward only.
    refinery::embed_migrations!("migrations");
}

/// Builds a parameter list for [`Conn`] from anything that converts into [`Value`].
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::Value::from($value)),*] as &[$crate::Value] };
}

/// Which engine a [`Db`] talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The embedded database, one file in the data folder.
    Sqlite,
    /// An external PostgreSQL (or a database that speaks its protocol and SQL).
    Postgres,
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// Where the control plane lives.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file; created when missing.
    Sqlite(PathBuf),
    /// A `postgres://` URL; it may hold a password, so it is never printed.
    Postgres(String),
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

/// A handle to the control-plane database; cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

enum Inner {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// One connection inside a transaction; handed to the closures of [`Db::read`] and [`Db::write`].
pub struct Conn<'a>(ConnInner<'a>);

enum ConnInner<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a postgres::Session),
}

impl Db {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// Fails when the file or server cannot be reached, is newer than this program, or a migration fails.
    pub async fn open(location: &Location) -> Result<Self> {
        let inner = match location {
            Location::Sqlite(path) => Inner::Sqlite(sqlite::Sqlite::open(path).await?),
            Location::Postgres(url) => Inner::Postgres(postgres::Postgres::open(url).await?),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Tells which engine answers.
    pub fn engine(&self) -> Engine {
        match *self.0 {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs `work` on a consistent snapshot.
    ///
    /// # Errors
    /// Returns what `work` returns, or the failure to get a connection.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Conn<'_>) -> Result<T, E> + Send + 'static,
    {
        match &*self.0 {
            Inner::Sqlite(db) => db.read(work).await,
            Inner::Postgres(db) => db.transaction(work, postgres::Mode::Read).await,
        }
    }

    /// Runs `work` in one serialisable transaction and returns when it is durable.
    ///
    /// When `work` returns an error nothing of it is kept. `work` may run more than once.
    ///
    /// # Errors
    /// Returns what `work` returns, or the failure to commit.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Conn<'_>) -> Result<T, E> + Send + 'static,
    {
        match &*self.0 {
            Inner::Sqlite(db) => db.write(work).await,
            Inner::Postgres(db) => db.transaction(work, postgres::Mode::Write).await,
        }
    }

    /// The pool of connections to PostgreSQL, for the telemetry engine that lives beside; `None` on SQLite.
    pub fn postgres_pool(&self) -> Option<deadpool_postgres::Pool> {
        match &*self.0 {
            Inner::Sqlite(_) => None,
            Inner::Postgres(db) => Some(db.pool()),
        }
    }

    /// Answers whether the database can be asked right now.
    pub async fn ping(&self) -> bool {
        self.read(|c| c.query_one("select 1 as one", params![]).map(|_| ()))
            .await
            .is_ok()
    }

    /// Finishes what is queued and closes every connection.
    pub async fn close(&self) {
        match &*self.0 {
            Inner::Sqlite(db) => db.close().await,
            Inner::Postgres(db) => db.close(),
        }
    }

    /// Writes a consistent copy of the SQLite file to `to` while the database stays in use.
    ///
    /// # Errors
    /// Fails on PostgreSQL ([`Error::Unsupported`]) and when `to` exists or cannot be written.
    pub async fn snapshot(&self, to: PathBuf) -> Result<()> {
        match &*self.0 {
            Inner::Sqlite(db) => db.snapshot(to).await,
            Inner::Postgres(_) => Err(Error::Unsupported("a file snapshot of PostgreSQL")),
        }
    }
}

impl Conn<'_> {
    /// Tells which engine answers; for the rare statement that must differ.
    pub fn engine(&self) -> Engine {
        match self.0 {
            ConnInner::Sqlite(_) => Engine::Sqlite,
            ConnInner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Errors
    /// Returns [`Error::Unique`], [`Error::ForeignKey`] or [`Error::Driver`].
    pub fn execute(&self, sql: &str, params: &[Value]) -> Result<u64> {
        match self.0 {
            ConnInner::Sqlite(c) => sqlite::execute(c, sql, params),
            ConnInner::Postgres(c) => c.execute(sql, params),
        }
    }

    /// Runs a query and returns all its rows.
    ///
    /// # Errors
    /// As [`Conn::execute`].
    pub fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        match self.0 {
            ConnInner::Sqlite(c) => sqlite::query(c, sql, params),
            ConnInner::Postgres(c) => c.query(sql, params),
        }
    }

    /// Runs a query and returns its first row, if any.
    ///
    /// # Errors
    /// As [`Conn::execute`].
    pub fn query_opt(&self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// Runs a query that must return a row.
    ///
    /// # Errors
    /// As [`Conn::execute`], and [`Error::NoRow`].
    pub fn query_one(&self, sql: &str, params: &[Value]) -> Result<Row> {
        self.query_opt(sql, params)?.ok_or(Error::NoRow)
    }
}

/// The names of the tables that hold the product's data, in an order in which rows can be inserted without
/// breaking a foreign key. The migration history is not among them.
///
/// # Errors
/// Returns the driver's error.
pub fn tables(conn: &Conn<'_>) -> Result<Vec<String>> {
    // Migrations create parents before children, and both catalogues can list tables in order of creation.
    let sql = match conn.engine() {
        Engine::Sqlite => {
            "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' \
             and name not like 'refinery_%' order by rowid"
        }
        Engine::Postgres => {
            "select c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = current_schema() and c.relkind = 'r' and c.relname not like 'refinery_%' order by c.oid"
        }
    };
    conn.query(sql, params![])?
        .iter()
        .map(|row| row.get("name"))
        .collect()
}
