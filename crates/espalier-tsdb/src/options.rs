//! Tuning of the engine. The defaults suit one small machine; every field says what it trades.

/// When an embedded commit counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// One fsync per group of appends: acknowledged points survive power loss.
    #[default]
    Full,
    /// No fsync per commit: acknowledged points survive a crash of the program, the last ones may be lost with power.
    Normal,
}

/// How an engine is opened. Use `..Options::default()`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Points that may wait for the writer before [`crate::Error::Busy`]; bounds memory under overload (default 262,144,
    /// about 12 MB). A larger batch counts as half of it: one is taken while others wait beside it.
    pub max_queued_points: usize,
    /// Points per commit; a longer queue is split so that no one waits for a giant transaction (default 65,536).
    pub max_commit_points: usize,
    /// Points in a full sealed chunk; more compresses better, fewer decodes faster for short ranges (default 1,024,
    /// clamped to 16 to 65,536).
    pub chunk_points: usize,
    /// Journalled points that start sealing; bounds memory (about 40 bytes each) and the time to replay after a crash
    /// (default 262,144). Sealing is started by volume only, never by a clock.
    pub seal_points: usize,
    /// Journal size in bytes that starts sealing, for series of long texts (default 32 MiB).
    pub seal_bytes: usize,
    /// Newest samples per series kept in memory after sealing for [`crate::Tsdb::recent`], only for series that were
    /// asked for (default 64).
    pub recent_points: usize,
    /// Connections for reads, which is the number of queries that run at the same time (default 4).
    pub readers: usize,
    /// Durability of the embedded engine (default [`Synchronous::Full`]); PostgreSQL has its own `synchronous_commit`.
    pub synchronous: Synchronous,
    /// Largest size of the embedded database file in bytes; appends beyond it fail with [`crate::Error::Storage`].
    /// Off by default; useful to leave room for others on a small disk.
    pub max_file_bytes: Option<u64>,
    /// PostgreSQL schema that holds the tables, created when missing (default `telemetry`).
    pub postgres_schema: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_queued_points: 262_144,
            max_commit_points: 65_536,
            chunk_points: 1_024,
            seal_points: 262_144,
            seal_bytes: 32 << 20,
            recent_points: 64,
            readers: 4,
            synchronous: Synchronous::Full,
            max_file_bytes: None,
            postgres_schema: "telemetry".into(),
        }
    }
}

impl Options {
    /// The chunk size within the limits the format promises.
    pub(crate) fn chunk_len(&self) -> usize {
        self.chunk_points.clamp(16, 65_536)
    }
}

/// How much of a queue of `max` points a batch takes: itself, or half of the queue when that is less.
pub(crate) fn room(points: usize, max: usize) -> usize {
    if points > max { max / 2 } else { points }
}
