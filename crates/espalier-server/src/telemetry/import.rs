//! Import of CSV files: the whole file is read and checked first, then stored in one append.
//!
//! A file that is wrong anywhere is refused with the number of its first wrong line, and nothing of it is stored.
//! Nothing is stored either when the store fails or the program dies; then the same file can be imported again.

use super::latest::{self, Entry};
use super::refusal::shorten;
use super::{Ingested, MAX_KEYS_PER_DEVICE, cell, ingest, parse};
use crate::devices::Device;
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use axum::body::Bytes;
use csv::StringRecord;
use espalier_tsdb::{Point, Value};
use espalier_wire::limits::{MAX_FUTURE_MS, MAX_KEYS_PER_SAMPLE, MIN_TIMESTAMP_MS};
use std::collections::HashMap;
use std::sync::Arc;

/// Largest file, bytes.
pub const MAX_FILE: usize = 64 << 20;

/// Most points of a file: one append, for which everybody else's points wait a second or two, and about 64 MB of memory.
pub const MAX_IMPORT_POINTS: usize = 1_000_000;

/// Numbers below this are seconds: as milliseconds they would be before 1973, as seconds it is the year 5138.
const SECONDS_BELOW: f64 = 1e11;

/// The columns of a file.
enum Layout {
    /// `timestamp,temperature,humidity,…`: a column per key.
    Wide {
        time: usize,
        keys: Vec<(usize, Arc<str>)>,
    },
    /// `timestamp,key,value`, with or without `device_id`.
    Long {
        time: usize,
        key: usize,
        value: usize,
        device: Option<usize>,
    },
}

/// A file of a device that is known to be good, or is being checked.
struct File<'a> {
    layout: Layout,
    bytes: &'a [u8],
    /// The 24-digit id that lines may name.
    device: &'a str,
    now: i64,
    /// The keys met so far.
    keys: HashMap<String, Arc<str>>,
}

/// Imports a file; returns how many points it had. All of them are one append, so that whatever fails or whoever
/// pulls the plug, the whole file is stored or nothing of it.
pub async fn import(app: &AppState, device: &Arc<Device>, bytes: Bytes) -> ApiResult<Ingested> {
    let turn = app.telemetry.imports.acquire().await;
    let _turn = turn.map_err(ApiError::internal)?;
    let now = app.clock.now_ms();
    let owner = device.clone();
    // A large file takes a second to read: not on a thread that serves others.
    let collect = move || collect(&bytes, &owner, now);
    let collected = tokio::task::spawn_blocking(collect).await;
    let (points, keys) = collected.map_err(ApiError::internal)??;
    let latest = latest::of(app, device.id).await?;
    let new = |entries: &[Entry]| {
        let new = |key: &&Arc<str>| {
            entries
                .binary_search_by(|entry| entry.key.cmp(key))
                .is_err()
        };
        entries.len() + keys.iter().filter(new).count()
    };
    if latest.read(new) > MAX_KEYS_PER_DEVICE {
        let what = format!("a device may have at most {MAX_KEYS_PER_DEVICE} different keys");
        return Err(ApiError::invalid(&["body"], what));
    }
    let count = points.len();
    if count > 0 {
        let newest = newest(&points);
        ingest::commit(app, points).await?;
        ingest::follow(app, device, &latest, newest).await?;
    }
    Ok(Ingested {
        at: now,
        points: count,
    })
}

/// Reads a whole file into memory; also returns its keys.
fn collect(bytes: &[u8], device: &Device, now: i64) -> ApiResult<(Vec<Point>, Vec<Arc<str>>)> {
    let mut points = Vec::new();
    let keys = read_file(
        bytes,
        &device.oid.to_string(),
        now,
        &mut |key, ts, value| {
            points.push(Point {
                device: device.id.0,
                key,
                ts,
                value,
            });
        },
    )?;
    Ok((points, keys))
}

/// The newest point of each key.
fn newest(points: &[Point]) -> Vec<Entry> {
    let mut newest: HashMap<&Arc<str>, &Point> = HashMap::new();
    for point in points {
        // Of two with one time the later one in the file wins, as in the store.
        newest
            .entry(&point.key)
            .and_modify(|known| {
                if known.ts <= point.ts {
                    *known = point;
                }
            })
            .or_insert(point);
    }
    let entries = newest.into_values().map(|point| Entry {
        key: point.key.clone(),
        ts: point.ts,
        value: point.value.clone(),
    });
    entries.collect()
}

fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    // What spreadsheets put before the first column.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    csv::ReaderBuilder::new().from_reader(bytes)
}

fn unreadable(error: &csv::Error) -> ApiError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => wrong(
            line,
            &format!("has {len} fields where the header has {expected_len}"),
        ),
        csv::ErrorKind::Utf8 { .. } => wrong(line, "is not UTF-8; save the file as UTF-8"),
        _ => wrong(line, "is not valid CSV"),
    }
}

fn wrong(line: u64, what: &str) -> ApiError {
    ApiError::invalid(
        &["body", "line", &line.to_string()],
        format!("line {line} {what}"),
    )
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8], device: &'a str, now: i64) -> ApiResult<Self> {
        let mut reader = reader(bytes);
        let header = reader.headers().map_err(|error| unreadable(&error))?;
        let mut file = Self {
            layout: Layout::Wide {
                time: 0,
                keys: Vec::new(),
            },
            bytes,
            device,
            now,
            keys: HashMap::new(),
        };
        file.layout = file.layout(header)?;
        Ok(file)
    }

    fn layout(&mut self, header: &StringRecord) -> ApiResult<Layout> {
        let names: Vec<String> = header
            .iter()
            .map(|name| name.trim().to_lowercase())
            .collect();
        let find = |wanted: &[&str]| {
            names
                .iter()
                .position(|name| wanted.contains(&name.as_str()))
        };
        let Some(time) = find(&["timestamp", "time", "ts", "date", "datetime"]) else {
            return Err(wrong(1, "must name the columns, one of them `timestamp`"));
        };
        if let (Some(key), Some(value)) = (find(&["key"]), find(&["value"])) {
            let device = find(&["device_id"]);
            if header.len() == 3 + usize::from(device.is_some()) {
                return Ok(Layout::Long {
                    time,
                    key,
                    value,
                    device,
                });
            }
        }
        let mut keys = Vec::new();
        for (at, name) in header.iter().enumerate().filter(|(at, _)| *at != time) {
            let name = cell::unguard(name.trim());
            if keys
                .iter()
                .any(|(_, key): &(usize, Arc<str>)| **key == *name)
            {
                return Err(wrong(
                    1,
                    &format!("names the column {:?} twice", shorten(name)),
                ));
            }
            keys.push((at, self.key(name).map_err(|what| wrong(1, &what))?));
        }
        if keys.is_empty() || keys.len() > MAX_KEYS_PER_SAMPLE {
            let what = format!("must name 1 to {MAX_KEYS_PER_SAMPLE} keys beside the time");
            return Err(wrong(1, &what));
        }
        Ok(Layout::Wide { time, keys })
    }

    /// One name for all its points.
    fn key(&mut self, name: &str) -> Result<Arc<str>, String> {
        if let Some(key) = self.keys.get(name) {
            return Ok(key.clone());
        }
        parse::check_name(name)
            .map_err(|what| format!("has the key {:?}: {what}", shorten(name)))?;
        if self.keys.len() >= MAX_KEYS_PER_DEVICE {
            return Err(format!(
                "has one key too many: a device may have at most {MAX_KEYS_PER_DEVICE}"
            ));
        }
        let key: Arc<str> = name.into();
        self.keys.insert(name.to_owned(), key.clone());
        Ok(key)
    }

    /// Reads every row.
    fn rows(&mut self, each: &mut dyn FnMut(Arc<str>, i64, Value)) -> ApiResult<()> {
        let mut reader = reader(self.bytes);
        let mut record = StringRecord::new();
        let mut points = 0;
        while reader
            .read_record(&mut record)
            .map_err(|error| unreadable(&error))?
        {
            self.row(&record, &mut |key, ts, value| {
                points += 1;
                each(key, ts, value);
            })?;
            if points > MAX_IMPORT_POINTS {
                return Err(ApiError::too_large(format!(
                    "The file has more than {MAX_IMPORT_POINTS} values; split it by lines."
                )));
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        record: &StringRecord,
        each: &mut dyn FnMut(Arc<str>, i64, Value),
    ) -> ApiResult<()> {
        let line = record.position().map_or(0, csv::Position::line);
        let refuse = |what: String| wrong(line, &what);
        let field = |at: usize| record.get(at).unwrap_or_default();
        let (time, now) = (
            match self.layout {
                Layout::Wide { time, .. } | Layout::Long { time, .. } => time,
            },
            self.now,
        );
        let ts = read_time(field(time), now).map_err(refuse)?;
        match &self.layout {
            Layout::Wide { keys, .. } => {
                for (at, key) in keys {
                    let value = cell::read(field(*at));
                    let value = value
                        .map_err(|what| refuse(format!("has a wrong value for {key:?}: {what}")))?;
                    if let Some(value) = value {
                        each(key.clone(), ts, value);
                    }
                }
            }
            Layout::Long {
                key, value, device, ..
            } => {
                if let Some(device) = device {
                    let named = field(*device).trim();
                    if named != self.device {
                        return Err(refuse(
                            "belongs to another device; import each device's lines to that device"
                                .to_owned(),
                        ));
                    }
                }
                let value = cell::read(field(*value));
                let value = value.map_err(|what| refuse(format!("has a wrong value: {what}")))?;
                let name = cell::unguard(field(*key)).to_owned();
                let key = self.key(&name).map_err(refuse)?;
                if let Some(value) = value {
                    each(key, ts, value);
                }
            }
        }
        Ok(())
    }
}

/// Reads the time of a row: ISO, milliseconds or seconds since 1970 UTC.
fn read_time(text: &str, now: i64) -> Result<i64, String> {
    let text = text.trim();
    let ts = match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number.abs() < SECONDS_BELOW => {
            (number * 1000.0).round() as i64
        }
        // Beyond any calendar the cast saturates, which the bounds below refuse.
        Ok(number) if number.is_finite() => number.round() as i64,
        _ => super::range::moment(text, &jiff::tz::TimeZone::UTC)
            .map_err(|what| format!("has a wrong time: {what}"))?,
    };
    if ts < MIN_TIMESTAMP_MS || ts > now.saturating_add(MAX_FUTURE_MS) {
        return Err(format!(
            "has the time {text:?}, which is not from the year 2000 to one day ahead of now"
        ));
    }
    Ok(ts)
}

/// Reads a whole file for the device with this 24-digit id; hands each point on in the order of the file and returns
/// the keys that it names.
///
/// # Errors
/// The first wrong line, or too many points; what was handed on until then is not to be used.
pub fn read_file(
    bytes: &[u8],
    device: &str,
    now: i64,
    each: &mut dyn FnMut(Arc<str>, i64, Value),
) -> ApiResult<Vec<Arc<str>>> {
    let mut file = File::open(bytes, device, now)?;
    file.rows(each)?;
    Ok(file.keys.into_values().collect())
}
