//! The telemetry engine: what devices measure, kept durably, small and fast to read.
//!
//! It is a library of its own: it knows nothing of accounts, HTTP or the control plane's database. There is no clock
//! inside; times are parameters, and work in the background is started by volume.
//!
//! A *series* is a (device, key); a *point* is identified by its series and its time in milliseconds UTC. The same point
//! twice is one point, a later value for the same time replaces the earlier one, and late points land where they belong.
//! [`Tsdb`] is the face; behind it are two engines that behave the same (`tests/engines/model.rs` holds both against one
//! model):
//!
//! - `embedded/`: one SQLite file. Appends go to a journal, one record and one fsync for everything that waits, and to a
//!   sorted head in memory; when the journal is full, heads become compressed chunks. Read `embedded/mod.rs` first.
//! - `postgres/`: rows in monthly partitions, for several servers at once.
//!
//! The formats on disk are described where they are written: tables in `embedded/schema.rs`, journal records in
//! `embedded/journal.rs`, chunks in `codec/chunk.rs` and below it `codec/ints.rs`, `codec/numbers.rs`, `codec/texts.rs`;
//! the tables in PostgreSQL in `postgres/schema.rs`.
//!
//! There are no separate roll-ups: every chunk carries its count, minimum, maximum, sum, first and last, and a bucket that
//! holds a whole chunk is answered from these without decoding.

mod codec;
mod embedded;
mod error;
#[doc(hidden)]
pub mod formats;
mod options;
mod postgres;
mod query;
mod scan;
mod tsdb;
mod types;

pub use error::{Error, Result};
pub use options::{Options, Synchronous};
pub use query::{Agg, Bucket, Buckets, MAX_BUCKETS, Mode, Order, Query, Rows, SeriesData};
pub use scan::{Page, Scan, ScanQuery};
pub use tsdb::Tsdb;
pub use types::{
    Appended, MAX_KEY_BYTES, MAX_TEXT_BYTES, Point, RetentionRule, Sample, Stats, Value,
};
