//! The telemetry engine: what devices measure, kept durably, small and fast to read.
//!
//! It is a library of its own: it knows nothing of accounts, HTTP or the control plane's database. There is no clock
//! inside; times are parameters, and work in the background is started by volume.

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
