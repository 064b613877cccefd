//! The PostgreSQL engine.

use crate::{
    Appended, Error, Options, Point, Query, Result, RetentionRule, Sample, SeriesData, Stats,
};
use std::sync::Arc;
use uuid::Uuid;

const SOON: Error = Error::Unsupported("this engine lands with the next change");

#[derive(Debug)]
pub(crate) struct Engine;

impl Engine {
    pub(crate) async fn open(_: deadpool_postgres::Pool, _: Options) -> Result<Self> {
        Err(SOON)
    }
    pub(crate) async fn append(&self, _: Vec<Point>) -> Result<Appended> {
        Err(SOON)
    }
    pub(crate) async fn latest(&self, _: Uuid) -> Result<Vec<(Arc<str>, Sample)>> {
        Err(SOON)
    }
    pub(crate) async fn query(&self, _: Query) -> Result<Vec<SeriesData>> {
        Err(SOON)
    }
    pub(crate) async fn recent(&self, _: Uuid, _: &str, _: usize) -> Result<Vec<(i64, f64)>> {
        Err(SOON)
    }
    pub(crate) async fn delete_device(&self, _: Uuid) -> Result<u64> {
        Err(SOON)
    }
    pub(crate) async fn delete_range(
        &self,
        _: Uuid,
        _: Option<Arc<str>>,
        _: i64,
        _: i64,
    ) -> Result<u64> {
        Err(SOON)
    }
    pub(crate) async fn enforce_retention(&self, _: &[RetentionRule], _: i64) -> Result<u64> {
        Err(SOON)
    }
    pub(crate) async fn close(&self) -> Result<()> {
        Err(SOON)
    }
    pub(crate) async fn stats(&self) -> Result<Stats> {
        Err(SOON)
    }
}
