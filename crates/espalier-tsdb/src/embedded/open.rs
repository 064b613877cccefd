//! Opening a file: the lock, the series, the replay of the journal and the threads.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use uuid::Uuid;

use super::chunks::Store;
use super::journal::{self, Entry};
use super::schema::{lock_path, open_writer};
use super::sealer;
use super::series::{Registry, Series, State};
use super::shared::{Counters, Queue, Shared};
use super::writer::{Size, Writer};
use crate::error::{Error, Result};
use crate::options::Options;

/// Opens a file and starts its threads.
pub(super) fn open(path: PathBuf, options: Options) -> Result<(Arc<Shared>, JoinHandle<()>)> {
    let lock = lock(&path)?;
    let conn = open_writer(&path, &options)?;
    let store = Store {
        conn: &conn,
        path: &path,
    };
    let (registry, by_id) = load_series(store)?;
    let replayed = replay(store, &by_id)?;
    drop(by_id);
    let counters = Counters::default();
    counters.head_points.store(
        replayed.head_points as u64,
        std::sync::atomic::Ordering::Relaxed,
    );
    counters.journal_bytes.store(
        replayed.journal.bytes as u64,
        std::sync::atomic::Ordering::Relaxed,
    );
    let queue = Queue::new(options.max_queued_points);
    let shared = Arc::new(Shared {
        path,
        options,
        registry,
        queue,
        counters,
    });

    let (work, tasks) = mpsc::channel();
    let for_sealer = Arc::clone(&shared);
    let sealer = spawn("espalier-tsdb-seal", &shared.path, move || {
        sealer::run(&for_sealer, &tasks)
    })?;
    let writer = Writer {
        shared: Arc::clone(&shared),
        conn,
        sealer: work,
        next_seq: replayed.next_seq,
        journal: replayed.journal,
        sealing: None,
        retry_at: 0,
        longest_head: 0,
    };
    let thread = spawn("espalier-tsdb", &shared.path, move || {
        writer.run();
        let _ = sealer.join();
        drop(lock);
    })?;
    Ok((shared, thread))
}

fn spawn(name: &str, path: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let fail = |error| Error::Storage {
        path: path.into(),
        detail: "no thread could be started".into(),
        source: Some(Box::new(error)),
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(fail)
}

/// Keeps every other process out for as long as the file lives. The head in memory would not see what another writes.
pub(super) fn lock(path: &Path) -> Result<File> {
    let fail = |error: std::io::Error| Error::Storage {
        path: path.into(),
        detail: error.to_string(),
        source: Some(Box::new(error)),
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_path(path))
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked { path: path.into() }),
        Err(std::fs::TryLockError::Error(error)) => Err(fail(error)),
    }
}

fn load_series(store: Store<'_>) -> Result<(Registry, HashMap<i64, Arc<Series>>)> {
    let fail = store.fail();
    let registry = Registry::default();
    let mut by_id = HashMap::new();
    let sql = "select id, device, key, (select t1 from chunk where series = series.id order by t0 desc limit 1) from series";
    let mut statement = store.conn.prepare(sql).map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        let id: i64 = row.get(0).map_err(fail)?;
        let device: Vec<u8> = row.get(1).map_err(fail)?;
        let device = Uuid::from_slice(&device)
            .map_err(|_| store.corrupt(format!("series {id} has no device")))?;
        let key: String = row.get(2).map_err(fail)?;
        let state = State {
            sealed_to: row.get(3).map_err(fail)?,
            ..State::default()
        };
        let series = Arc::new(Series {
            id,
            device,
            key: key.into(),
            state: parking_lot::Mutex::new(state),
        });
        registry.insert(Arc::clone(&series));
        by_id.insert(id, series);
    }
    Ok((registry, by_id))
}

struct Replayed {
    next_seq: i64,
    journal: Size,
    head_points: usize,
}

/// Puts everything acknowledged but not sealed back into the head.
fn replay(store: Store<'_>, by_id: &HashMap<i64, Arc<Series>>) -> Result<Replayed> {
    let fail = store.fail();
    let mut replayed = Replayed {
        next_seq: 1,
        journal: Size::default(),
        head_points: 0,
    };
    let mut unknown: HashSet<i64> = HashSet::new();
    let mut statement = store
        .conn
        .prepare("select seq, data from journal order by seq")
        .map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        let seq: i64 = row.get(0).map_err(fail)?;
        let record = row.get_ref(1).map_err(fail)?;
        let record = record
            .as_blob()
            .map_err(|_| store.corrupt(format!("journal record {seq} is no blob")))?;
        let size = &mut replayed.journal;
        size.bytes += record.len();
        let entry = |entry| match entry {
            Entry::Points { series, samples } => match by_id.get(&series) {
                Some(series) => {
                    size.points += samples.len();
                    series.state.lock().apply(samples, |_| false);
                }
                None => drop(unknown.insert(series)),
            },
            Entry::Delete { series, from, to } => match by_id.get(&series) {
                Some(series) => drop(series.state.lock().remove(from, to)),
                None => drop(unknown.insert(series)),
            },
            // Numbers of series are never used again, so what came before it in the journal is gone with it.
            Entry::Drop { series } => drop(unknown.remove(&series)),
        };
        journal::replay(record, entry)
            .map_err(|damaged| store.corrupt(format!("journal record {seq}: {damaged}")))?;
        replayed.next_seq = seq.saturating_add(1);
    }
    if let Some(series) = unknown.iter().next() {
        return Err(store.corrupt(format!(
            "the journal has points of series {series}, which does not exist"
        )));
    }
    replayed.head_points = by_id
        .values()
        .map(|series| series.state.lock().head.len())
        .sum();
    Ok(replayed)
}
