//! The parts that several messages share: telemetry with its samples, and maps of versioned state.

use core::fmt::{self, Write};

use super::{Expected, Fields, WireError, pick};
use crate::json::{Json, ObjectWriter, Text, Value};

/// Telemetry: one sample, or a batch with device timestamps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Telemetry<'a> {
    /// One sample; without `ts` the server's time of arrival counts.
    Now {
        /// Device time in milliseconds UTC.
        ts: Option<i64>,
        /// The object of key → value, checked as JSON only.
        data: Json<'a>,
    },
    /// Samples taken earlier, for example while the device was offline.
    Batch(Samples<'a>),
}

impl<'a> Telemetry<'a> {
    /// Reads `ts`, `data` and `samples` from fields picked at these positions.
    pub(crate) fn from_fields<const N: usize>(
        fields: &Fields<'a, N>,
        ts: usize,
        data: usize,
        samples: usize,
    ) -> Result<Self, WireError> {
        match fields.array(samples)? {
            Some(list) => Samples::check(list).map(Telemetry::Batch),
            None => Ok(Telemetry::Now {
                ts: fields.int(ts)?,
                data: fields.need_object(data)?,
            }),
        }
    }

    /// Writes `ts`, `data` or `samples` into an open message.
    pub(crate) fn write_members<W: Write>(&self, out: &mut ObjectWriter<'_, W>) -> fmt::Result {
        match self {
            Telemetry::Now { ts, data } => {
                out.optional("ts", *ts)?;
                out.member("data", *data)
            }
            Telemetry::Batch(samples) => out.member("samples", samples.as_json()),
        }
    }

    /// Returns every sample, also the only one.
    pub fn samples(self) -> impl Iterator<Item = Sample<'a>> {
        let (one, many) = match self {
            Telemetry::Now { ts, data } => (Some(Sample { ts, data }), None),
            Telemetry::Batch(samples) => (None, Some(samples.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// One sample: values of one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Device time in milliseconds UTC; absent while the device does not know the time.
    pub ts: Option<i64>,
    /// The object of key → value, checked as JSON only.
    pub data: Json<'a>,
}

impl<'a> Sample<'a> {
    fn parse(json: Json<'a>) -> Result<Self, WireError> {
        let fields = pick(json, ["ts", "data"]).map_err(|e| match e {
            WireError::NotAnObject => WireError::Wrong("samples", Expected::Array),
            other => other,
        })?;
        Ok(Sample {
            ts: fields.int(0)?,
            data: fields.need_object(1)?,
        })
    }
}

/// A checked array of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Samples<'a>(Json<'a>);

impl<'a> Samples<'a> {
    /// Checks that a value is an array of samples.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    pub fn check(list: Json<'a>) -> Result<Self, WireError> {
        let mut elements = list
            .elements()
            .ok_or(WireError::Wrong("samples", Expected::Array))?;
        elements.try_for_each(|sample| Sample::parse(sample).map(drop))?;
        Ok(Samples(list))
    }

    /// Returns the samples in their order.
    pub fn iter(self) -> impl Iterator<Item = Sample<'a>> {
        // `check` has seen every element, so nothing is dropped here.
        self.0
            .elements()
            .into_iter()
            .flatten()
            .filter_map(|sample| Sample::parse(sample).ok())
    }

    /// Returns the array as JSON.
    pub const fn as_json(self) -> Json<'a> {
        self.0
    }
}

/// One versioned state value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateEntry<'a> {
    /// The key of the state, for example `relay1`.
    pub key: Text<'a>,
    /// The value; may be `null`.
    pub value: Json<'a>,
    /// The desired version that this is or answers; 0 in a report means a local change.
    pub version: u64,
    /// In a report: why the device will not apply that version, in one sentence; the value is what it stays.
    pub error: Option<Text<'a>>,
}

/// A checked map of key → `{"value":…,"version":n}`, with `"error"` where a device refuses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateMap<'a>(Json<'a>);

impl<'a> StateMap<'a> {
    /// The map without entries.
    pub const EMPTY: StateMap<'static> = StateMap(Json::EMPTY_OBJECT);

    /// Checks that a value is a state map.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    pub fn check(map: Json<'a>) -> Result<Self, WireError> {
        let mut members = map
            .members()
            .ok_or(WireError::Wrong("state", Expected::Object))?;
        members.try_for_each(|(key, entry)| parse_entry(key, entry).map(drop))?;
        Ok(StateMap(map))
    }

    /// Returns the entries in their order.
    pub fn iter(self) -> StateIter<'a> {
        StateIter(self.0.members())
    }

    /// Returns the map as JSON.
    pub const fn as_json(self) -> Json<'a> {
        self.0
    }
}

/// The entries of a [`StateMap`].
#[derive(Debug, Clone)]
pub struct StateIter<'a>(Option<crate::json::Members<'a>>);

impl<'a> Iterator for StateIter<'a> {
    type Item = StateEntry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, entry) = self.0.as_mut()?.next()?;
        parse_entry(key, entry).ok()
    }
}

fn parse_entry<'a>(key: Text<'a>, entry: Json<'a>) -> Result<StateEntry<'a>, WireError> {
    let fields = pick(entry, ["value", "version", "error"]).map_err(|e| match e {
        WireError::NotAnObject => WireError::Wrong("state", Expected::Object),
        other => other,
    })?;
    let value = fields.raw(0).ok_or(WireError::Missing("value"))?;
    Ok(StateEntry {
        key,
        value,
        version: fields.need_int(1)?,
        error: fields.text(2)?,
    })
}

/// Writes a state map of refusals: key, what the device is and stays (`null` when it has no such switch), the desired version that
/// it will not apply, and why, in one sentence.
///
/// # Errors
/// Fails when the output is full, or when a float is not finite.
pub fn write_refusals<'v, W: Write>(
    out: &mut W,
    entries: impl IntoIterator<Item = (&'v str, Json<'v>, u64, &'v str)>,
) -> fmt::Result {
    let mut map = ObjectWriter::begin(out)?;
    for (key, value, version, error) in entries {
        let mut entry = ObjectWriter::begin(map.value_of(key)?)?;
        entry.member("value", value)?;
        entry.number("version", version)?;
        entry.member("error", error)?;
        entry.end()?;
    }
    map.end()
}

/// Writes a state map from key, value and version; the counterpart of [`StateMap::check`].
///
/// # Errors
/// Fails when the output is full, or when a float is not finite.
pub fn write_state<'v, W: Write>(
    out: &mut W,
    entries: impl IntoIterator<Item = (&'v str, Value<'v>, u64)>,
) -> fmt::Result {
    let mut map = ObjectWriter::begin(out)?;
    for (key, value, version) in entries {
        let mut entry = ObjectWriter::begin(map.value_of(key)?)?;
        entry.member("value", value)?;
        entry.number("version", version)?;
        entry.end()?;
    }
    map.end()
}

/// Writes an array of samples; the counterpart of [`Samples::check`].
///
/// # Errors
/// Fails when the output is full.
pub fn write_samples<'s, W: Write>(
    out: &mut W,
    samples: impl IntoIterator<Item = Sample<'s>>,
) -> fmt::Result {
    out.write_char('[')?;
    for (i, sample) in samples.into_iter().enumerate() {
        if i > 0 {
            out.write_char(',')?;
        }
        let mut object = ObjectWriter::begin(out)?;
        object.optional("ts", sample.ts)?;
        object.member("data", sample.data)?;
        object.end()?;
    }
    out.write_char(']')
}
