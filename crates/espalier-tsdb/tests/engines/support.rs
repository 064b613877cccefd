//! What the engine tests share: a store on either engine that can be reopened, and questions in short form.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use espalier_tsdb::{Bucket, Buckets, Mode, Options, Query, Rows, Sample, Tsdb};
use uuid::Uuid;

/// A place for a store: a folder of its own, or a schema of its own in the PostgreSQL of `TEST_DATABASE_URL`.
pub enum Place {
    Embedded {
        dir: tempfile::TempDir,
        file: PathBuf,
        crashes: u32,
    },
    Postgres {
        pool: deadpool_postgres::Pool,
        schema: String,
    },
}

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub fn embedded() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.db");
        Self::Embedded {
            dir,
            file,
            crashes: 0,
        }
    }

    /// Nothing when no PostgreSQL is given; says so, because a skipped test must be seen.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told of their database by the environment"
    )]
    pub fn postgres() -> Option<Self> {
        let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
            eprintln!("skipped on PostgreSQL: TEST_DATABASE_URL is not set");
            return None;
        };
        let config: tokio_postgres::Config = url.parse().unwrap();
        let manager = deadpool_postgres::Manager::new(config, tokio_postgres::NoTls);
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(6)
            .build()
            .unwrap();
        let schema = format!(
            "tsdb_{}_{}",
            std::process::id(),
            SCHEMAS.fetch_add(1, Ordering::Relaxed)
        );
        Some(Self::Postgres { pool, schema })
    }

    pub async fn open(&self, options: Options) -> Tsdb {
        match self {
            Self::Embedded { file, .. } => Tsdb::open_embedded(file, options).await.unwrap(),
            Self::Postgres { pool, schema } => Tsdb::open_postgres(
                pool.clone(),
                Options {
                    postgres_schema: schema.clone(),
                    ..options
                },
            )
            .await
            .unwrap(),
        }
    }

    /// Ends `tsdb` as a crash would: on the embedded engine the files are taken as they are at this moment.
    pub fn crash(&mut self, tsdb: Tsdb) {
        if let Self::Embedded { dir, file, crashes } = self {
            *crashes += 1;
            let copy = dir.path().join(format!("t{crashes}.db"));
            // The log first would be wrong: a checkpoint in between would be lost. Whole groups are only in the log
            // until a checkpoint, which needs no copy while the file itself is complete up to it.
            loop {
                std::fs::copy(&file, &copy).unwrap();
                std::fs::copy(file.with_extension("db-wal"), copy.with_extension("db-wal"))
                    .unwrap();
                if std::fs::read(&file).unwrap() == std::fs::read(&copy).unwrap() {
                    break;
                }
            }
            *file = copy;
        }
        drop(tsdb);
    }

    pub async fn clean_up(self) {
        if let Self::Postgres { pool, schema } = self {
            pool.get()
                .await
                .unwrap()
                .batch_execute(&format!("drop schema {schema} cascade"))
                .await
                .unwrap();
        }
    }
}

pub async fn raw(
    tsdb: &Tsdb,
    device: Uuid,
    key: &str,
    from: i64,
    to: i64,
    mode: Mode,
) -> (Vec<Sample>, bool) {
    let query = Query {
        series: vec![(device, Arc::from(key))],
        from,
        to,
        mode,
    };
    match tsdb.query(query).await.unwrap().remove(0).rows {
        Rows::Raw { samples, more } => (samples, more),
        Rows::Buckets(_) => panic!("raw rows expected"),
    }
}

pub async fn buckets(
    tsdb: &Tsdb,
    device: Uuid,
    key: &str,
    from: i64,
    to: i64,
    buckets: Buckets,
) -> Vec<Bucket> {
    let query = Query {
        series: vec![(device, Arc::from(key))],
        from,
        to,
        mode: Mode::Buckets(buckets),
    };
    match tsdb.query(query).await.unwrap().remove(0).rows {
        Rows::Buckets(buckets) => buckets,
        Rows::Raw { .. } => panic!("buckets expected"),
    }
}
