//! Answers a question with a Parquet file in bounded memory: groups of rows are read, encoded and sent one by one.
//!
//! Only with the cargo feature `parquet`; how a file is written is `parquet_file.rs`.

use super::export::PAGE_POINTS;
use super::history::spread;
use super::parquet_file::{Encoder, Part, Rows};
use super::question::{Ask, How};
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use espalier_tsdb::{Mode, Scan, ScanQuery, SeriesData};
use futures_util::stream;
use std::collections::HashMap;
use uuid::Uuid;

/// Rows of a group: what readers skip or read as a whole. About 5 MB of numbers in memory, below 1 MB in the file.
const GROUP_ROWS: usize = 131_072;

/// Bytes of a group in memory, for rows with long texts.
const GROUP_BYTES: usize = 16 << 20;

/// Where rows come from.
enum Source {
    /// All points of a range, page by page.
    Scan(Scan),
    /// Points that were read already, because they are few.
    Read(std::vec::IntoIter<SeriesData>),
    /// Buckets, series by series.
    Buckets(Box<Buckets>),
}

/// Buckets that are read when their turn comes.
struct Buckets {
    app: AppState,
    ask: Ask,
    next: usize,
}

/// A file that is being sent.
struct Sending {
    source: Source,
    names: HashMap<Uuid, Bytes>,
    /// Gone when the end of the file was sent.
    encoder: Option<Encoder>,
}

/// Answers with the points or buckets that were asked for. Whole ranges of points, oldest first, are of any length;
/// points with a limit or newest first are as many as in a JSON answer, and so are the buckets of each series.
pub async fn respond(app: &AppState, ask: Ask) -> ApiResult<Response> {
    let names = ask.series.iter().map(|(device, _)| {
        let name = Bytes::from(device.oid.to_string());
        (device.id.0, name)
    });
    let names = names.collect();
    let encoder = match &ask.how {
        How::Raw { .. } => Encoder::points(),
        How::Buckets { what, .. } => Encoder::buckets(what),
    };
    let encoder = encoder.map_err(ApiError::internal)?;
    let source = match &ask.how {
        How::Raw { limit: None } if !ask.descending => Source::Scan(
            app.tsdb.scan(ScanQuery {
                series: ask
                    .series
                    .iter()
                    .map(|(device, key)| (device.id.0, key.clone()))
                    .collect(),
                from: ask.from,
                to: ask.to,
                page_points: PAGE_POINTS,
            }),
        ),
        How::Raw { .. } => Source::Read(ask.rows(app).await?.into_iter()),
        How::Buckets { .. } => Source::Buckets(Box::new(Buckets {
            app: app.clone(),
            ask,
            next: 0,
        })),
    };
    let sending = Sending {
        source,
        names,
        encoder: Some(encoder),
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/vnd.apache.parquet"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"telemetry.parquet\""),
        ),
    ];
    let body = Body::from_stream(stream::try_unfold(sending, Sending::next));
    Ok((headers, body).into_response())
}

impl Source {
    /// The next rows: of a page, or of a series.
    async fn next(&mut self) -> anyhow::Result<Option<(Uuid, Bytes, Rows)>> {
        let key = |key: &str| Bytes::copy_from_slice(key.as_bytes());
        match self {
            Self::Scan(scan) => Ok(scan
                .next_page()
                .await?
                .map(|page| (page.device, key(&page.key), Rows::Points(page.samples)))),
            Self::Read(series) => Ok(series.next().map(|data| {
                let rows = match data.rows {
                    espalier_tsdb::Rows::Raw { samples, .. } => samples,
                    espalier_tsdb::Rows::Buckets(_) => Vec::new(),
                };
                (data.device, key(&data.key), Rows::Points(rows))
            })),
            Self::Buckets(buckets) => buckets.next().await,
        }
    }
}

impl Buckets {
    async fn next(&mut self) -> anyhow::Result<Option<(Uuid, Bytes, Rows)>> {
        let (Some(series), How::Buckets { buckets, fill, .. }) =
            (self.ask.series.get(self.next), &self.ask.how)
        else {
            return Ok(None);
        };
        self.next += 1;
        let mode = Mode::Buckets(buckets.clone());
        let one = std::slice::from_ref(series);
        let read = self.ask.query(&self.app, one, mode).await?;
        let found = read.first().map_or(&[][..], |data| data.rows.buckets());
        let rows = spread(buckets, found, *fill, self.ask.descending)
            .map(|(start, agg)| (start, agg.cloned()))
            .collect();
        let key = Bytes::copy_from_slice(series.1.as_bytes());
        Ok(Some((series.0.id.0, key, Rows::Buckets(rows))))
    }
}

impl Sending {
    /// The next piece of the file: a group of rows, or the end.
    async fn next(mut self) -> anyhow::Result<Option<(Bytes, Self)>> {
        let piece = self.piece().await;
        let piece = piece.inspect_err(|error| tracing::error!(%error, "an export broke off"))?;
        Ok(piece.map(|piece| (piece, self)))
    }

    async fn piece(&mut self) -> anyhow::Result<Option<Bytes>> {
        let Some(mut encoder) = self.encoder.take() else {
            return Ok(None);
        };
        let parts = self.parts().await?;
        // A group takes tens of milliseconds to encode: not on a thread that serves others.
        let encoded = tokio::task::spawn_blocking(move || {
            if parts.is_empty() {
                return encoder.finish().map(|end| (end, None));
            }
            let group = encoder.group(&parts)?;
            Ok((group, Some(encoder)))
        });
        let (piece, encoder) = encoded.await??;
        self.encoder = encoder;
        Ok(Some(piece.into()))
    }

    /// The rows of the next group; none at the end.
    async fn parts(&mut self) -> anyhow::Result<Vec<Part>> {
        let (mut parts, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while rows < GROUP_ROWS && bytes < GROUP_BYTES {
            let Some((device, key, found)) = self.source.next().await? else {
                break;
            };
            if found.len() == 0 {
                continue;
            }
            rows += found.len();
            bytes += found.bytes();
            parts.push(Part {
                device: self.names.get(&device).cloned().unwrap_or_default(),
                key,
                rows: found,
            });
        }
        Ok(parts)
    }
}
