//! The external engine: a pool of connections, serialisable transactions that repeat on conflict.

use crate::value::{Row, Value};
use crate::{Conn, ConnInner, Error, Result};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Connections; PostgreSQL's own default limit is 100 for everybody.
const CONNECTIONS: usize = 16;
/// How often a transaction is repeated when another one got in its way.
const TRIES: u32 = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

pub(crate) struct Postgres {
    pool: Pool,
}

/// A connection lent to one transaction, driven from a blocking thread.
pub(crate) struct Session {
    client: Object,
    handle: Handle,
    conflict: std::cell::Cell<bool>,
}

impl Postgres {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let failed = |problem: String| Error::Open {
            location: "postgres://…".to_owned(),
            problem,
        };
        let config: tokio_postgres::Config = url.parse().map_err(|_| {
            failed("the URL is not of the form postgres://user@host/database".to_owned())
        })?;
        let manager = Manager::from_config(
            config,
            tokio_postgres::NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(std::time::Duration::from_secs(30)))
            .create_timeout(Some(std::time::Duration::from_secs(10)))
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let mut client = pool.get().await.map_err(|e| failed(e.to_string()))?;
        let client: &mut tokio_postgres::Client = &mut client;
        crate::embedded::migrations::runner()
            .run_async(client)
            .await
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { pool })
    }

    pub(crate) async fn transaction<T, E, F>(&self, mut work: F, mode: Mode) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Conn<'_>) -> Result<T, E> + Send + 'static,
    {
        let client = self
            .pool
            .get()
            .await
            .map_err(|e| Error::Driver(e.to_string()))?;
        let handle = Handle::current();
        let run = move || {
            let session = Session {
                client,
                handle,
                conflict: std::cell::Cell::new(false),
            };
            let mut tries = 0;
            loop {
                tries += 1;
                match session.attempt(&mut work, mode) {
                    Attempt::Done(result) => return result,
                    Attempt::Conflict(_) if tries < TRIES => {}
                    Attempt::Conflict(error) => return Err(error),
                }
            }
        };
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|e| Error::Driver(e.to_string()))?
    }

    pub(crate) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

enum Attempt<T, E> {
    Done(Result<T, E>),
    Conflict(E),
}

impl Session {
    fn attempt<T, E, F>(&self, work: &mut F, mode: Mode) -> Attempt<T, E>
    where
        E: From<Error>,
        F: FnMut(&Conn<'_>) -> Result<T, E>,
    {
        self.conflict.set(false);
        let begin = match mode {
            Mode::Read => "begin isolation level repeatable read read only",
            Mode::Write => "begin isolation level serializable",
        };
        if let Err(error) = self.batch(begin) {
            return Attempt::Done(Err(error.into()));
        }
        // A panic of the work must not return the connection to the pool inside a transaction.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            work(&Conn(ConnInner::Postgres(self)))
        }))
        .unwrap_or_else(|_| Err(Error::Driver("the transaction panicked".to_owned()).into()));
        let result = match result {
            Ok(value) => self.batch("commit").map(|()| value).map_err(E::from),
            Err(error) => {
                let _ = self.batch("rollback");
                Err(error)
            }
        };
        match result {
            Err(error) if self.conflict.get() => Attempt::Conflict(error),
            result => Attempt::Done(result),
        }
    }

    fn note(&self, error: tokio_postgres::Error) -> Error {
        if matches!(
            error.code(),
            Some(&(SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED))
        ) {
            self.conflict.set(true);
        }
        error.into()
    }

    fn batch(&self, sql: &str) -> Result<()> {
        self.handle
            .block_on(self.client.batch_execute(sql))
            .map_err(|e| self.note(e))
    }

    pub(crate) fn execute(&self, sql: &str, params: &[Value]) -> Result<u64> {
        let run = async {
            let statement = self.client.prepare_cached(sql).await?;
            self.client.execute_raw(&statement, params).await
        };
        self.handle.block_on(run).map_err(|e| self.note(e))
    }

    pub(crate) fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let run = async {
            let statement = self.client.prepare_cached(sql).await?;
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
            self.client.query(&statement, &params).await
        };
        let rows = self.handle.block_on(run).map_err(|e| self.note(e))?;
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        let columns: Arc<[String]> = first
            .columns()
            .iter()
            .map(|c| c.name().to_owned())
            .collect();
        rows.iter()
            .map(|row| {
                Ok(Row {
                    columns: columns.clone(),
                    values: convert(row)?,
                })
            })
            .collect()
    }
}

fn convert(row: &tokio_postgres::Row) -> Result<Vec<Value>> {
    let column = |i: usize| match *row.columns()[i].type_() {
        Type::INT8 => row.try_get::<_, Option<i64>>(i).map(Value::from),
        Type::INT4 => row.try_get::<_, Option<i32>>(i).map(Value::from),
        Type::BOOL => row.try_get::<_, Option<bool>>(i).map(Value::from),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(i).map(Value::from),
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(i).map(Value::from),
        _ => row.try_get::<_, Option<String>>(i).map(Value::from),
    };
    (0..row.len())
        .map(|i| column(i).map_err(Error::from))
        .collect()
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, kind) {
            (Self::Null, _) => Ok(IsNull::Yes),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a whole number bound to a real column"
            )]
            (Self::Int(v), &Type::FLOAT8) => (*v as f64).to_sql(kind, out),
            (Self::Int(v), &Type::INT4) => i32::try_from(*v)?.to_sql(kind, out),
            (Self::Int(v), _) => v.to_sql(kind, out),
            (Self::Real(v), _) => v.to_sql(kind, out),
            (Self::Text(v), _) => v.to_sql(kind, out),
            (Self::Blob(v), _) => v.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::INT8
                | Type::INT4
                | Type::FLOAT8
                | Type::TEXT
                | Type::VARCHAR
                | Type::BYTEA
                | Type::UNKNOWN
                | Type::NAME
        )
    }

    to_sql_checked!();
}
