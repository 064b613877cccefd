//! The one way in: binds checked values to a device and a time, makes them durable, then tells everybody.
//!
//! Everything is checked before anything is queued, and a batch is one append, so nothing is ever stored by half.

use super::latest::{self, Entry, Latest};
use super::parse::{self, Readings};
use super::refusal::{Reason, Refusal};
use super::{Ingested, Sample, values};
use crate::devices::{self, Device};
use crate::live::{self, Event};
use crate::{ApiError, AppState, control};
use espalier_tsdb::{Error, Point};
use espalier_wire::limits::{
    MAX_KEYS_PER_SAMPLE, MAX_POINTS_PER_BATCH, MIN_TIMESTAMP_MS, is_plausible_time,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Most keys that one device may have: each is a series, and a device that invents names must not fill the store.
pub const MAX_KEYS_PER_DEVICE: usize = 4096;

/// From how many keys on a table is faster than looking at each.
const MANY_COLUMNS: usize = 16;

/// Checks samples that are JSON documents already.
pub fn check(samples: &[Sample]) -> Result<Readings<'_>, Refusal> {
    let mut readings = Readings {
        batch: samples.len() != 1,
        ..Readings::default()
    };
    for (index, sample) in samples.iter().enumerate() {
        let place = |readings: &Readings<'_>, key| readings.place(index, "data", key);
        if sample.data.len() > MAX_KEYS_PER_SAMPLE {
            return Err(Refusal::at(
                place(&readings, None),
                format!("one sample may have at most {MAX_KEYS_PER_SAMPLE} keys"),
            ));
        }
        for (key, value) in &sample.data {
            let checked = parse::check_name(key).and_then(|()| parse::check_value(value));
            let value = checked.map_err(|what| Refusal::at(place(&readings, Some(key)), what))?;
            readings.values.push((Cow::Borrowed(key), value));
        }
        readings.samples.push((sample.ts, readings.values.len()));
    }
    if readings.values.len() > MAX_POINTS_PER_BATCH {
        return Err(Refusal::new(
            Reason::TooLarge,
            vec!["body".to_owned(), "samples".to_owned()],
            format!("one batch may have at most {MAX_POINTS_PER_BATCH} values; send several"),
        ));
    }
    Ok(readings)
}

/// Stores checked values of a device; returns when they are durable and everybody was told.
pub async fn store(
    app: &AppState,
    device: &Arc<Device>,
    readings: Readings<'_>,
) -> Result<Ingested, ApiError> {
    let now = app.clock.now_ms();
    if readings.values.is_empty() {
        devices::seen(app, device);
        return Ok(Ingested { at: now, points: 0 });
    }
    let latest = latest::of(app, device.id).await?;
    let points = readings.points();
    let bound = latest.with(|inner| bind(inner, device, readings, now));
    let bound = bound.map_err(|refusal| refuse(app, refusal))?;
    let (newest, at) = (bound.newest, bound.at);
    commit(app, bound.points).await?;
    devices::seen(app, device);
    let fresh = follow(app, device, &latest, newest).await?;
    announce(app, device, &fresh).await?;
    Ok(Ingested { at, points })
}

/// Makes points durable and counts them.
pub(super) async fn commit(app: &AppState, points: Vec<Point>) -> Result<(), ApiError> {
    let appended = app.tsdb.append(points).await;
    let appended = appended.map_err(|error| {
        let reason = match error {
            Error::Busy | Error::Closed => Reason::Busy,
            _ => Reason::Storage,
        };
        app.ops.metrics.refused(reason.label());
        store_error(error)
    })?;
    let metrics = &app.ops.metrics;
    metrics.points_accepted.inc_by(appended.accepted);
    metrics.points_stored.inc_by(appended.new);
    Ok(())
}

/// Counts a refusal and turns it into the answer.
pub fn refuse(app: &AppState, refusal: Refusal) -> ApiError {
    app.ops.metrics.refused(refusal.reason.label());
    refusal.into()
}

/// Turns a failure of the store into the answer: what may work later is a 503, so that devices keep their values.
pub fn store_error(error: Error) -> ApiError {
    match error {
        Error::Busy => ApiError::busy("The queue for telemetry is full; try again in a second.", 1),
        Error::Closed => ApiError::busy("The server is stopping; try again in a moment.", 2),
        Error::Storage { .. } | Error::Database { .. } => {
            tracing::error!(%error, "telemetry could not be stored or read");
            // Half a minute gives an operator's disk or database time, and a fleet does not hammer it meanwhile.
            ApiError::busy(
                "The telemetry store does not work right now; try again later.",
                30,
            )
        }
        other => ApiError::internal(other),
    }
}

/// Points with their series and times, and the newest of each key.
struct Bound {
    points: Vec<Point>,
    newest: Vec<Entry>,
    at: i64,
}

fn bind(
    inner: &mut latest::Inner,
    device: &Device,
    readings: Readings<'_>,
    now: i64,
) -> Result<Bound, Refusal> {
    let (times, at) = times(inner, &readings, now)?;
    let mut columns = Columns::default();
    let mut points: Vec<Point> = Vec::with_capacity(readings.values.len());
    let batch = readings.batch;
    let mut values = readings.values.into_iter();
    for (index, ((_, end), ts)) in readings.samples.iter().zip(times).enumerate() {
        for nth in 0..end - points.len() {
            let Some((key, value)) = values.next() else {
                break;
            };
            let column = columns.of(nth, &key, inner, points.len());
            if column.sample.replace(index) == Some(index) {
                let loc = parse::place(batch.then_some(index), "data", Some(&key));
                return Err(Refusal::at(loc, "the key stands twice in one object"));
            }
            // Of two samples with one time the later one in the batch wins, as in the store.
            if points.get(column.newest).is_none_or(|point| point.ts <= ts) {
                column.newest = points.len();
            }
            points.push(Point {
                device: device.id.0,
                key: column.key.clone(),
                ts,
                value,
            });
        }
    }
    if inner.keys() + columns.new > MAX_KEYS_PER_DEVICE {
        return Err(Refusal::new(
            Reason::TooManyKeys,
            vec!["body".to_owned()],
            format!(
                "a device may have at most {MAX_KEYS_PER_DEVICE} different keys; put what varies into the value, not into the key"
            ),
        ));
    }
    let newest = columns.list.iter().map(|column| {
        let point = &points[column.newest];
        Entry {
            key: point.key.clone(),
            ts: point.ts,
            value: point.value.clone(),
        }
    });
    Ok(Bound {
        newest: newest.collect(),
        points,
        at,
    })
}

/// The time of every sample, and the moment of arrival.
fn times(
    inner: &mut latest::Inner,
    readings: &Readings<'_>,
    now: i64,
) -> Result<(Vec<i64>, i64), Refusal> {
    let mut unstamped = 0;
    for (index, (ts, _)) in readings.samples.iter().enumerate() {
        match ts {
            None => unstamped += 1,
            Some(ts) if is_plausible_time(*ts, now) => {}
            Some(ts) => {
                let loc = readings.place(index, "ts", None);
                return Err(Refusal::new(Reason::Time, loc, implausible(*ts)));
            }
        }
    }
    if unstamped == 0 {
        let times = readings.samples.iter().filter_map(|(ts, _)| *ts);
        return Ok((times.collect(), now));
    }
    let mut next = inner.arrivals(now, unstamped);
    let mut times = Vec::with_capacity(readings.samples.len());
    for (ts, _) in &readings.samples {
        times.push(ts.unwrap_or(next));
        next += i64::from(ts.is_none());
    }
    Ok((times, next - 1))
}

fn implausible(ts: i64) -> String {
    let seconds = ts
        .checked_mul(1000)
        .is_some_and(|ms| ms >= MIN_TIMESTAMP_MS);
    let hint = if ts < MIN_TIMESTAMP_MS && seconds {
        "; it looks like seconds, multiply it by 1000"
    } else {
        ""
    };
    format!(
        "{ts} is not a believable time: give milliseconds since 1970 UTC, from the year 2000 to one day ahead of now, or leave it out{hint}"
    )
}

/// The keys of a request, each found once. Samples mostly have the same keys in the same order, so the key that
/// stood at this place in the sample before is tried first.
#[derive(Default)]
struct Columns {
    list: Vec<Column>,
    row: Vec<usize>,
    table: HashMap<Arc<str>, usize>,
    new: usize,
}

/// One key of a request.
struct Column {
    key: Arc<str>,
    /// The sample that had it last.
    sample: Option<usize>,
    /// The point with its newest time.
    newest: usize,
}

impl Columns {
    fn of(&mut self, nth: usize, key: &str, inner: &latest::Inner, point: usize) -> &mut Column {
        let before = self.row.get(nth).copied();
        let guess = before.filter(|column| *self.list[*column].key == *key);
        let column = guess
            .or_else(|| self.find(key))
            .unwrap_or_else(|| self.add(key, inner, point));
        match self.row.get_mut(nth) {
            Some(place) => *place = column,
            None => self.row.push(column),
        }
        &mut self.list[column]
    }

    fn find(&self, key: &str) -> Option<usize> {
        if self.list.len() <= MANY_COLUMNS {
            return self.list.iter().position(|column| *column.key == *key);
        }
        self.table.get(key).copied()
    }

    fn add(&mut self, key: &str, inner: &latest::Inner, point: usize) -> usize {
        let known = inner.interned(key);
        self.new += usize::from(known.is_none());
        self.list.push(Column {
            key: known.unwrap_or_else(|| Arc::from(key)),
            sample: None,
            newest: point,
        });
        let added = self.list.len() - 1;
        // The table is filled when it is first needed, with all that came before.
        if self.list.len() > MANY_COLUMNS {
            let first = if added == MANY_COLUMNS { 0 } else { added };
            let columns = self.list.iter().enumerate().skip(first);
            self.table
                .extend(columns.map(|(at, column)| (column.key.clone(), at)));
        }
        added
    }
}

/// Brings the latest state up to date and returns the values that are the newest of their key.
pub(super) async fn follow(
    app: &AppState,
    device: &Arc<Device>,
    latest: &Arc<Latest>,
    mut newest: Vec<Entry>,
) -> Result<Vec<Entry>, ApiError> {
    let mut fresh = latest.update(&newest);
    while fresh.is_none() {
        // Points of this device were deleted while these were on their way: what was loaded since may not know them.
        fresh = latest::of(app, device.id).await?.update(&newest);
    }
    let mut fresh = fresh.unwrap_or_default().into_iter();
    newest.retain(|_| fresh.next().unwrap_or(false));
    Ok(newest)
}

/// Tells whoever watches, and closes the loop of desired values.
pub(super) async fn announce(
    app: &AppState,
    device: &Arc<Device>,
    fresh: &[Entry],
) -> Result<(), ApiError> {
    let Some(ts) = fresh.iter().map(|entry| entry.ts).max() else {
        return Ok(());
    };
    let data = Arc::new(values::map(fresh));
    devices::observe(app, device, &data);
    live::publish(
        app,
        Event::Telemetry {
            device: device.clone(),
            ts,
            data: data.clone(),
        },
    );
    control::report_telemetry(app, device, &data).await
}
