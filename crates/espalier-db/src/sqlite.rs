//! The embedded engine: one writer thread with group commit, and a few readers on their own snapshots.

use crate::value::{Row, Value};
use crate::{Conn, ConnInner, Error, Result};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, types};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Writes that may wait; a full queue makes callers wait, it never drops.
const QUEUE: usize = 4096;
/// Writes that share one commit at most, so that a flood cannot delay the first of them without bound.
const GROUP: usize = 512;
/// Reader connections; more than the processors of a small server gain nothing.
const READERS: usize = 4;
/// Prepared statements kept per connection; the product has a few hundred.
const STATEMENTS: usize = 512;

/// What a job leaves behind: told the fate of the commit, it answers its caller.
type Finish = Box<dyn FnOnce(Option<String>) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Finish + Send>;

pub(crate) struct Sqlite {
    path: PathBuf,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Sqlite {
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || Self::open_blocking(path))
            .await
            .map_err(|_| Error::Closed)?
    }

    fn open_blocking(path: PathBuf) -> Result<Self> {
        let failed = |problem: String| Error::Open {
            location: path.display().to_string(),
            problem,
        };
        let mut writer = Connection::open(&path).map_err(|e| failed(e.to_string()))?;
        configure(&writer).map_err(|e| failed(e.to_string()))?;
        crate::embedded::migrations::runner()
            .run(&mut writer)
            .map_err(|e| failed(e.to_string()))?;
        let mut idle = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let reader = Connection::open_with_flags(&path, flags)?;
            configure(&reader)?;
            reader.pragma_update(None, "query_only", true)?;
            idle.push(reader);
        }
        let (send, receive) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("db-writer".to_owned())
            .spawn(move || write_loop(&writer, receive))
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self {
            path,
            queue: Mutex::new(Some(send)),
            writer: Mutex::new(Some(thread)),
            idle: Arc::new(Mutex::new(idle)),
            permits: Arc::new(Semaphore::new(READERS)),
        })
    }

    pub(crate) async fn write<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Conn<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, done) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = in_savepoint(connection, || work(&Conn(ConnInner::Sqlite(connection))));
            Box::new(move |commit: Option<String>| {
                let result = match commit {
                    Some(problem) if result.is_ok() => Err(Error::Driver(problem).into()),
                    _ => result,
                };
                // The caller may have gone away; the write stands all the same.
                let _ = answer.send(result);
            })
        });
        let queue = self.queue.lock().clone().ok_or(Error::Closed)?;
        queue.send(job).await.map_err(|_| Error::Closed)?;
        done.await.map_err(|_| Error::Closed)?
    }

    pub(crate) async fn read<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Conn<'_>) -> Result<T, E> + Send + 'static,
    {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let idle = self.idle.clone();
        let run = move || {
            let _permit = permit;
            let connection = idle.lock().pop().ok_or(Error::Closed)?;
            let lent = Lent {
                connection: Some(connection),
                idle,
            };
            let connection = lent.connection.as_ref().ok_or(Error::Closed)?;
            let snapshot = connection.unchecked_transaction().map_err(Error::from)?;
            let result = work(&Conn(ConnInner::Sqlite(connection)));
            drop(snapshot);
            result
        };
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|e| Error::Driver(e.to_string()))?
    }

    pub(crate) async fn snapshot(&self, to: PathBuf) -> Result<()> {
        let from = self.path.clone();
        let copy = move || {
            let target = to
                .to_str()
                .ok_or_else(|| Error::Driver("the path is not UTF-8".to_owned()))?;
            let connection = Connection::open(from)?;
            connection.execute("vacuum into ?1", [target])?;
            Ok(())
        };
        tokio::task::spawn_blocking(copy)
            .await
            .map_err(|e| Error::Driver(e.to_string()))?
    }

    pub(crate) async fn close(&self) {
        self.queue.lock().take();
        let writer = self.writer.lock().take();
        self.permits.close();
        let idle = self.idle.clone();
        let finish = move || {
            if let Some(thread) = writer {
                let _ = thread.join();
            }
            idle.lock().clear();
        };
        let _ = tokio::task::spawn_blocking(finish).await;
    }
}

/// A reader that returns to the pool also when the work panics.
struct Lent {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.idle.lock().push(connection);
        }
    }
}

fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // 4 MB each: the control plane is small, and the server's idle memory is a promise.
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Runs `work` so that its failure or panic undoes only its own statements.
fn in_savepoint<T, E: From<Error>>(
    c: &Connection,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    c.execute_batch("savepoint job").map_err(Error::from)?;
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Driver("the transaction panicked".to_owned()).into()));
    let end = if result.is_ok() {
        "release job"
    } else {
        "rollback to job; release job"
    };
    c.execute_batch(end).map_err(Error::from)?;
    result
}

fn write_loop(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    let mut finishes: Vec<Finish> = Vec::with_capacity(GROUP);
    while let Some(first) = queue.blocking_recv() {
        if let Err(error) = connection.execute_batch("begin immediate") {
            // Nothing ran: the job is dropped unanswered, its caller sees `Closed`, and the cause is logged.
            tracing::error!(%error, "cannot start a transaction");
            continue;
        }
        let mut next = Some(first);
        while let Some(job) = next.take() {
            finishes.push(job(connection));
            if finishes.len() < GROUP {
                next = queue.try_recv().ok();
            }
        }
        let problem = connection.execute_batch("commit").err().map(|error| {
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("rollback");
            }
            tracing::error!(%error, "cannot commit");
            format!("cannot commit: {error}")
        });
        for finish in finishes.drain(..) {
            finish(problem.clone());
        }
    }
    // A last checkpoint leaves one clean file behind.
    let _ = connection.execute_batch("pragma wal_checkpoint(truncate)");
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<types::ToSqlOutput<'_>> {
        Ok(types::ToSqlOutput::Borrowed(match self {
            Self::Null => types::ValueRef::Null,
            Self::Int(v) => types::ValueRef::Integer(*v),
            Self::Real(v) => types::ValueRef::Real(*v),
            Self::Text(v) => types::ValueRef::Text(v.as_bytes()),
            Self::Blob(v) => types::ValueRef::Blob(v),
        }))
    }
}

pub(crate) fn execute(connection: &Connection, sql: &str, params: &[Value]) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.execute(rusqlite::params_from_iter(params))? as u64)
}

pub(crate) fn query(connection: &Connection, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query(rusqlite::params_from_iter(params))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns.len())
            .map(|i| row.get_ref(i).map(Value::from))
            .collect::<Result<_, _>>()?;
        found.push(Row {
            columns: columns.clone(),
            values,
        });
    }
    Ok(found)
}

impl From<types::ValueRef<'_>> for Value {
    fn from(value: types::ValueRef<'_>) -> Self {
        match value {
            types::ValueRef::Null => Self::Null,
            types::ValueRef::Integer(v) => Self::Int(v),
            types::ValueRef::Real(v) => Self::Real(v),
            types::ValueRef::Text(v) => Self::Text(String::from_utf8_lossy(v).into_owned()),
            types::ValueRef::Blob(v) => Self::Blob(v.to_vec()),
        }
    }
}
