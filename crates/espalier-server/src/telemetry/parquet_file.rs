//! Writes rows as a Parquet file, group of rows by group of rows, into memory that is handed on after each group.
//!
//! It knows columns and encodings; where the rows come from and who gets the bytes is `parquet_stream.rs`. Only with
//! the cargo feature `parquet`.

use super::question::What;
use bytes::Bytes;
use espalier_tsdb::{Agg, Sample, Value};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// Values handed to a column at once: small enough to stay in the processor's cache.
const BATCH: usize = 1024;

/// The rows of one series that stand one after the other.
pub struct Part {
    /// The device's 24-digit id.
    pub device: Bytes,
    /// The key.
    pub key: Bytes,
    /// The rows, all of the kind that the file is made for.
    pub rows: Rows,
}

/// Rows of one kind.
pub enum Rows {
    /// Points.
    Points(Vec<Sample>),
    /// The begin of each bucket and its aggregate, which an empty bucket has not.
    Buckets(Vec<(i64, Option<Agg>)>),
}

impl Rows {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Points(samples) => samples.len(),
            Self::Buckets(buckets) => buckets.len(),
        }
    }

    /// About how many bytes of memory the rows take.
    pub fn bytes(&self) -> usize {
        let text = |value: &Value| match value {
            Value::Text(text) | Value::Json(text) => text.len(),
            Value::Number(_) | Value::Bool(_) => 0,
        };
        match self {
            Self::Points(samples) => {
                let texts: usize = samples.iter().map(|sample| text(&sample.value)).sum();
                size_of_val(samples.as_slice()) + texts
            }
            Self::Buckets(buckets) => {
                let aggs = buckets.iter().filter_map(|(_, agg)| agg.as_ref());
                let texts: usize = aggs.map(|agg| text(&agg.first) + text(&agg.last)).sum();
                size_of_val(buckets.as_slice()) + texts
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|at| match self {
            Self::Points(samples) => Row::Point(&samples[at]),
            Self::Buckets(buckets) => Row::Bucket(buckets[at].0, buckets[at].1.as_ref()),
        })
    }
}

/// One row, without its series.
#[derive(Clone, Copy)]
enum Row<'a> {
    Point(&'a Sample),
    Bucket(i64, Option<&'a Agg>),
}

impl<'a> Row<'a> {
    fn ts(self) -> i64 {
        match self {
            Self::Point(sample) => sample.ts,
            Self::Bucket(start, _) => start,
        }
    }

    fn agg(self) -> Option<&'a Agg> {
        match self {
            Self::Point(_) => None,
            Self::Bucket(_, agg) => agg,
        }
    }

    fn value(self, of: Of) -> Option<&'a Value> {
        match (self, of) {
            (Self::Point(sample), Of::Point) => Some(&sample.value),
            (Self::Bucket(_, Some(agg)), Of::First) => Some(&agg.first),
            (Self::Bucket(_, Some(agg)), Of::Last) => Some(&agg.last),
            _ => None,
        }
    }
}

/// Whose value a column holds.
#[derive(Clone, Copy)]
enum Of {
    Point,
    First,
    Last,
}

/// A column. A value has four of them, and in every row stands in the one of its type.
#[derive(Clone, Copy)]
enum Column {
    Device,
    Key,
    Time,
    Count,
    /// `min`, `max`, `mean` or `sum`.
    Number(What),
    ValueNumber(Of),
    ValueBool(Of),
    ValueText(Of),
    ValueJson(Of),
}

/// Writes one file.
pub struct Encoder {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Column>,
}

impl Encoder {
    /// A file of points.
    pub fn points() -> Result<Self> {
        let mut schema = Schema::new();
        schema.value("value", Of::Point);
        schema.open()
    }

    /// A file of buckets with these aggregates.
    pub fn buckets(what: &[What]) -> Result<Self> {
        let mut schema = Schema::new();
        for what in what {
            let name = what.name();
            match what {
                What::Count => schema.add(Column::Count, format!("required int64 {name}")),
                What::First => schema.value(name, Of::First),
                What::Last => schema.value(name, Of::Last),
                What::Min | What::Max | What::Mean | What::Sum => {
                    schema.add(Column::Number(*what), format!("optional double {name}"));
                }
            }
        }
        schema.open()
    }

    /// Writes rows as one group and returns the bytes of the file that are complete now.
    pub fn group(&mut self, parts: &[Part]) -> Result<Vec<u8>> {
        let mut group = self.writer.next_row_group()?;
        for column in &self.columns {
            if let Some(mut writer) = group.next_column()? {
                column.write(&mut writer, parts)?;
                writer.close()?;
            }
        }
        group.close()?;
        self.writer.flush()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// Writes the end of the file and returns the bytes that are left.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.writer.finish()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }
}

/// The columns of a file in the making, and their description in Parquet's own language.
struct Schema {
    columns: Vec<Column>,
    message: String,
}

impl Schema {
    fn new() -> Self {
        let mut schema = Self {
            columns: Vec::new(),
            message: String::new(),
        };
        schema.add(Column::Device, "required binary device_id (STRING)");
        schema.add(Column::Key, "required binary key (STRING)");
        schema.add(
            Column::Time,
            "required int64 timestamp (TIMESTAMP(MILLIS,true))",
        );
        schema
    }

    fn add(&mut self, column: Column, description: impl AsRef<str>) {
        self.columns.push(column);
        self.message.push_str(description.as_ref());
        self.message.push(';');
    }

    fn value(&mut self, name: &str, of: Of) {
        self.add(Column::ValueNumber(of), format!("optional double {name}"));
        self.add(
            Column::ValueBool(of),
            format!("optional boolean {name}_bool"),
        );
        self.add(
            Column::ValueText(of),
            format!("optional binary {name}_text (STRING)"),
        );
        self.add(
            Column::ValueJson(of),
            format!("optional binary {name}_json (JSON)"),
        );
    }

    fn open(self) -> Result<Encoder> {
        let schema = parse_message_type(&format!("message telemetry {{{}}}", self.message))?;
        let time = ColumnPath::from("timestamp");
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // Times are nearly all different, but evenly spaced: their differences pack into a few bits.
            .set_column_dictionary_enabled(time.clone(), false)
            .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
            // What is kept until the end of the file is kept per group, not per page.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("espalier version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Encoder {
            writer: SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?,
            columns: self.columns,
        })
    }
}

impl Column {
    fn write(self, writer: &mut SerializedColumnWriter<'_>, parts: &[Part]) -> Result<()> {
        match self {
            Self::Device => required::<ByteArrayType>(writer, parts, |part, _| {
                ByteArray::from(part.device.clone())
            }),
            Self::Key => required::<ByteArrayType>(writer, parts, |part, _| {
                ByteArray::from(part.key.clone())
            }),
            Self::Time => required::<Int64Type>(writer, parts, |_, row| row.ts()),
            Self::Count => required::<Int64Type>(writer, parts, |_, row| {
                let count = row.agg().map_or(0, |agg| agg.count);
                i64::try_from(count).unwrap_or(i64::MAX)
            }),
            Self::Number(what) => optional::<DoubleType>(writer, parts, |row| {
                let agg = row.agg()?;
                match what {
                    What::Min => agg.min,
                    What::Max => agg.max,
                    What::Mean => agg.mean(),
                    What::Sum => agg.sum,
                    What::Count | What::First | What::Last => None,
                }
            }),
            Self::ValueNumber(of) => {
                optional::<DoubleType>(writer, parts, |row| match row.value(of)? {
                    Value::Number(number) => Some(*number),
                    _ => None,
                })
            }
            Self::ValueBool(of) => {
                optional::<BoolType>(writer, parts, |row| match row.value(of)? {
                    Value::Bool(flag) => Some(*flag),
                    _ => None,
                })
            }
            Self::ValueText(of) => {
                optional::<ByteArrayType>(writer, parts, |row| match row.value(of)? {
                    Value::Text(text) => Some(ByteArray::from(text.as_bytes().to_vec())),
                    _ => None,
                })
            }
            Self::ValueJson(of) => {
                optional::<ByteArrayType>(writer, parts, |row| match row.value(of)? {
                    Value::Json(text) => Some(ByteArray::from(text.as_bytes().to_vec())),
                    _ => None,
                })
            }
        }
    }
}

/// Writes a column that has a value in every row.
fn required<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    parts: &[Part],
    get: impl Fn(&Part, Row<'_>) -> T::T,
) -> Result<()> {
    let mut values = Vec::with_capacity(BATCH);
    for part in parts {
        for row in part.rows.iter() {
            values.push(get(part, row));
            if values.len() == BATCH {
                writer.typed::<T>().write_batch(&values, None, None)?;
                values.clear();
            }
        }
    }
    writer.typed::<T>().write_batch(&values, None, None)?;
    Ok(())
}

/// Writes a column that has a value only in some rows.
fn optional<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    parts: &[Part],
    get: impl Fn(Row<'_>) -> Option<T::T>,
) -> Result<()> {
    let mut values = Vec::with_capacity(BATCH);
    let mut levels = Vec::with_capacity(BATCH);
    for row in parts.iter().flat_map(|part| part.rows.iter()) {
        let value = get(row);
        // The definition level: 1 is a value, 0 is none.
        levels.push(i16::from(value.is_some()));
        values.extend(value);
        if levels.len() == BATCH {
            let writer = writer.typed::<T>();
            writer.write_batch(&values, Some(&levels), None)?;
            values.clear();
            levels.clear();
        }
    }
    let writer = writer.typed::<T>();
    writer.write_batch(&values, Some(&levels), None)?;
    Ok(())
}
