//! Export of any length in constant memory: pages are read as fast as the client takes them.

use super::question::Question;
use super::{cell, values};
use crate::error::ApiResult;
use crate::identity::Principal;
use crate::{ApiError, AppState, clock};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use espalier_tsdb::{Page, Scan, ScanQuery, Value};
use futures_util::stream;
use std::collections::HashMap;
use uuid::Uuid;

/// Points per page: about 200 kB of text, a few milliseconds of work.
pub const PAGE_POINTS: usize = 4096;

/// How an export is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
}

impl Format {
    fn of(name: Option<&str>) -> ApiResult<Self> {
        match name {
            None | Some("csv") => Ok(Self::Csv),
            Some("ndjson" | "jsonl") => Ok(Self::Ndjson),
            Some(_) => Err(ApiError::invalid(
                &["query", "format"],
                "must be csv, ndjson or parquet",
            )),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Csv => "attachment; filename=\"telemetry.csv\"",
            Self::Ndjson => "attachment; filename=\"telemetry.ndjson\"",
        }
    }
}

/// Starts an export. What can be refused is refused before the first byte; a failure in the middle breaks the
/// connection off, so that half a file is never taken for a whole one.
pub async fn export(
    app: &AppState,
    principal: &Principal,
    question: &Question,
) -> ApiResult<Response> {
    if question.is_parquet() {
        return parquet(app, principal, &question.of_points()).await;
    }
    let format = Format::of(question.format.as_deref())?;
    let range = question.range(app.clock.now_ms())?;
    let series = question.series(app, principal).await?;
    let names = series
        .iter()
        .map(|(device, _)| (device.id.0, device.oid.to_string()));
    let export = Export {
        names: names.collect(),
        scan: app.tsdb.scan(ScanQuery {
            series: series
                .into_iter()
                .map(|(device, key)| (device.id.0, key))
                .collect(),
            from: range.from,
            to: range.to,
            page_points: PAGE_POINTS,
        }),
        format,
        begun: false,
    };
    let body = Body::from_stream(stream::try_unfold(export, Export::next));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(format.content_type()),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static(format.file_name()),
        ),
    ];
    Ok((headers, body).into_response())
}

/// Answers a question of any kind with a Parquet file.
#[cfg(feature = "parquet")]
pub async fn parquet(
    app: &AppState,
    principal: &Principal,
    question: &Question,
) -> ApiResult<Response> {
    let ask = question.ask(app, principal).await?;
    super::parquet_stream::respond(app, ask).await
}

/// Says how to get Parquet files.
#[cfg(not(feature = "parquet"))]
pub async fn parquet(_: &AppState, _: &Principal, _: &Question) -> ApiResult<Response> {
    Err(ApiError::bad_request(
        "not_built_in",
        "This server has no Parquet built in: build it with `cargo build --release --features parquet`, or take csv or ndjson from /telemetry/export.",
    ))
}

struct Export {
    scan: Scan,
    format: Format,
    names: HashMap<Uuid, String>,
    begun: bool,
}

impl Export {
    /// The next piece of the file.
    async fn next(mut self) -> anyhow::Result<Option<(Bytes, Self)>> {
        if !std::mem::replace(&mut self.begun, true) && self.format == Format::Csv {
            let head = Bytes::from_static(b"timestamp,device_id,key,value\r\n");
            return Ok(Some((head, self)));
        }
        match self.scan.next_page().await {
            Ok(Some(page)) => {
                let oid = self.names.get(&page.device).map_or("", String::as_str);
                let piece = match self.format {
                    Format::Csv => csv_page(oid, &page),
                    Format::Ndjson => ndjson_page(oid, &page),
                };
                Ok(Some((piece.into(), self)))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                Err(error.into())
            }
        }
    }
}

fn csv_page(oid: &str, page: &Page) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.samples.len() * 64);
    let key = cell::guard(&page.key);
    for sample in &page.samples {
        write_line(&mut out, oid, &key, sample.ts, &sample.value);
    }
    out
}

/// Writes one point as a line of an exported CSV file: `timestamp,device_id,key,value`.
pub fn write_csv_line(out: &mut Vec<u8>, device_id: &str, key: &str, ts: i64, value: &Value) {
    write_line(out, device_id, &cell::guard(key), ts, value);
}

fn write_line(out: &mut Vec<u8>, oid: &str, key: &str, ts: i64, value: &Value) {
    out.extend_from_slice(clock::iso(ts).as_bytes());
    out.push(b',');
    out.extend_from_slice(oid.as_bytes());
    out.push(b',');
    write_field(out, key);
    out.push(b',');
    write_field(out, &cell::write(value));
    out.extend_from_slice(b"\r\n");
}

/// Writes a field as RFC 4180 wants it.
fn write_field(out: &mut Vec<u8>, field: &str) {
    if !field.contains([',', '"', '\r', '\n']) {
        out.extend_from_slice(field.as_bytes());
        return;
    }
    out.push(b'"');
    for (nth, part) in field.split('"').enumerate() {
        if nth > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

fn ndjson_page(oid: &str, page: &Page) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.samples.len() * 128);
    for sample in &page.samples {
        out.extend_from_slice(b"{\"timestamp\":");
        values::write_text(&mut out, &clock::iso(sample.ts));
        out.extend_from_slice(b",\"ts\":");
        values::write_int(&mut out, sample.ts);
        out.extend_from_slice(b",\"device_id\":");
        values::write_text(&mut out, oid);
        out.extend_from_slice(b",\"key\":");
        values::write_text(&mut out, &page.key);
        out.extend_from_slice(b",\"value\":");
        values::write(&mut out, &sample.value);
        out.extend_from_slice(b"}\n");
    }
    out
}
