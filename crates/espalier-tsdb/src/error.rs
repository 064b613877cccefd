//! The one error type of the engine. Every message says what is wrong and what to do; `Display` never repeats the source.

use std::path::PathBuf;

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The queue of points waiting to be committed is full; the caller should answer 503 with Retry-After.
    #[error("the telemetry queue is full: try again in a second")]
    Busy,
    /// The engine was closed.
    #[error("the telemetry engine is closed")]
    Closed,
    /// A point cannot be stored as given; nothing of the batch was.
    #[error("point {index} of the batch is not valid: {reason}")]
    InvalidPoint {
        /// Position in the batch, from 0.
        index: usize,
        /// What is wrong with it, a phrase for the user.
        reason: &'static str,
    },
    /// A query makes no sense, such as unsorted bucket edges.
    #[error("the query is not valid: {0}")]
    InvalidQuery(&'static str),
    /// The operation does not exist on this engine; the text says what to use.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Another process has the file open.
    #[error("{path} is in use by another process: stop that process first")]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a telemetry store, or was written by a newer program.
    #[error("{path} cannot be opened as a telemetry store: {reason}")]
    Incompatible {
        /// The database file.
        path: PathBuf,
        /// What does not fit and what to do.
        reason: String,
    },
    /// Stored data is damaged.
    #[error(
        "telemetry data in {path} is damaged ({detail}): stop the server, keep a copy of the file and restore the last backup"
    )]
    Corrupt {
        /// The database file, or the name of the database on PostgreSQL.
        path: PathBuf,
        /// Which part, for the log.
        detail: String,
    },
    /// The disk or file refused a read or a write (full, read-only, failing); nothing of this request was stored.
    #[error(
        "the telemetry store {path} could not be read or written ({detail}): check free space, permissions and the disk"
    )]
    Storage {
        /// The database file.
        path: PathBuf,
        /// What the storage layer said.
        detail: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// PostgreSQL refused or could not be reached; nothing of this request was stored, or its outcome is unknown when
    /// the connection broke during a commit (repeating an append is safe).
    #[error("the telemetry database did not answer as expected: {detail}")]
    Database {
        /// What was being done.
        detail: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// The result of every engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
