//! Backup and restore: one file that holds everything, the same for both databases.
//!
//! # Format
//! A zstd stream of JSON lines. The first is `{"espalier_backup":2,"version":…,"created_at":ms}`. Then for
//! each table `{"table":…,"columns":[…]}` and one array per row (bytes as `{"b":base64}`), parents before
//! children; then for each series `{"series":key,"device":uuid}` and lines `[[ts,value],…]` (objects as
//! `{"j":text}`); then for each blob that a row refers to `{"blob":sha256,"b":base64}`. The last line is
//! `{"end":{"rows":n,"points":n,"blobs":n}}`: a file without it is not whole. Format 1 had no blobs.
//!
//! # Restore
//! A restore is staged first: the archive is received into the data folder and checked from end to end. Only
//! then it is renamed to [`PENDING`], and the server starts anew. A start that finds the file replaces
//! the control plane in one transaction, the telemetry and the blobs after it, and removes the file last; killed in
//! between, the next start does it again from the beginning.

use crate::ota::blobs;
use crate::ota::library::Digest;
use crate::{ApiError, AppState, Config};
use anyhow::{Context, bail};
use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use espalier_db::{Conn, Db, Value as Sql, params};
use espalier_tsdb::{Point, ScanQuery, Tsdb, Value as Measured};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

/// The name of a checked archive that waits to be restored by the next start.
pub const PENDING: &str = "restore.pending.zst";
/// The format that is written; older ones are read, too.
const FORMAT: u64 = 2;
/// zstd's level: the default of its makers, a good trade for data that is written once.
const LEVEL: i32 = 3;
/// Compressed bytes that are handed on at once.
const PIECE: usize = 64 * 1024;
/// Points per line and per append.
const PAGE: usize = 5_000;
/// The longest line that is read: a page of the longest texts that telemetry can hold.
const MAX_LINE: usize = 64 << 20;

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Contents {
    /// Rows of the control plane.
    pub rows: u64,
    /// Points of telemetry.
    pub points: u64,
    /// Blobs: firmware images and pictures.
    #[serde(default)]
    pub blobs: u64,
}

/// What came of a restore request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Restored {
    /// What happens now.
    pub message: &'static str,
    /// What the archive holds.
    pub contents: Contents,
}

/// The archive as a stream of bytes. A failure in the middle ends the stream with an error and without the
/// last line, so that a broken copy is recognised.
pub fn stream(app: AppState) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let (send, mut receive) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = write(&app, &send).await {
            tracing::error!(error = format!("{error:#}"), "the backup failed");
            let _ = send
                .send(Err(std::io::Error::other(error.to_string())))
                .await;
        }
    });
    futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx))
}

/// Writes the archive to a new file.
///
/// # Errors
/// Fails when the file exists or cannot be written, or a store cannot be read; no half file stays behind.
pub async fn write_file(app: &AppState, path: &Path) -> anyhow::Result<Contents> {
    let mut file =
        File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
    let result: anyhow::Result<()> = async {
        let mut pieces = std::pin::pin!(stream(app.clone()));
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        file.sync_all()?;
        Ok(())
    }
    .await;
    if let Err(error) = result {
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    check(path)
}

type Pieces = mpsc::Sender<std::io::Result<Bytes>>;

/// Compresses lines and hands the result on in pieces.
struct Out<'a> {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    pieces: &'a Pieces,
}

impl Out<'_> {
    async fn line(&mut self, line: &str) -> anyhow::Result<()> {
        self.encoder.write_all(line.as_bytes())?;
        self.encoder.write_all(b"\n")?;
        if self.encoder.get_ref().len() >= PIECE {
            let piece = std::mem::take(self.encoder.get_mut());
            self.pieces
                .send(Ok(piece.into()))
                .await
                .context("the reader went away")?;
        }
        Ok(())
    }

    async fn finish(self) -> anyhow::Result<()> {
        let rest = self.encoder.finish()?;
        self.pieces
            .send(Ok(rest.into()))
            .await
            .context("the reader went away")
    }
}

async fn write(app: &AppState, pieces: &Pieces) -> anyhow::Result<()> {
    let mut out = Out {
        encoder: zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?,
        pieces,
    };
    let head = json!({ "espalier_backup": FORMAT, "version": env!("CARGO_PKG_VERSION"), "created_at": app.clock.now_ms() });
    out.line(&head.to_string()).await?;
    let mut contents = Contents::default();
    let (rows, mut lines) = mpsc::channel::<String>(256);
    let db = app.db.clone();
    let reading = tokio::spawn(async move { db.read(move |c| send_tables(c, &rows)).await });
    while let Some(line) = lines.recv().await {
        contents.rows += u64::from(line.starts_with('['));
        out.line(&line).await?;
    }
    let blobs = reading.await??;
    let devices = app
        .db
        .read(|c| c.query("select id from device order by id", params![]))
        .await?;
    for row in devices {
        let device: Uuid = row.get::<String>("id")?.parse()?;
        let series = app
            .tsdb
            .keys(device)
            .await?
            .into_iter()
            .map(|key| (device, key))
            .collect();
        let mut scan = app.tsdb.scan(ScanQuery {
            series,
            from: i64::MIN,
            to: i64::MAX,
            page_points: PAGE,
        });
        let mut last: Option<Arc<str>> = None;
        while let Some(page) = scan.next_page().await? {
            if last.as_ref() != Some(&page.key) {
                out.line(&json!({ "series": &*page.key, "device": device }).to_string())
                    .await?;
                last = Some(page.key.clone());
            }
            contents.points += page.samples.len() as u64;
            let samples: Vec<Value> = page
                .samples
                .iter()
                .map(|s| json!([s.ts, measured_json(&s.value)]))
                .collect();
            out.line(&Value::Array(samples).to_string()).await?;
        }
    }
    contents.blobs = write_blobs(app, blobs, &mut out).await?;
    out.line(&json!({ "end": contents }).to_string()).await?;
    out.finish().await
}

/// Writes the blobs and returns how many there were. One that cannot be read is left out: a backup without it is better
/// than none.
async fn write_blobs(
    app: &AppState,
    blobs: HashSet<Digest>,
    out: &mut Out<'_>,
) -> anyhow::Result<u64> {
    let mut written = 0;
    for digest in blobs {
        let blob = hex::encode(digest);
        let bytes = match app.ota.blobs.get(&digest).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(blob, %error, "the backup does not hold this blob");
                continue;
            }
        };
        let line = json!({ "blob": blob, "b": BASE64_STANDARD.encode(&bytes) });
        out.line(&line.to_string()).await?;
        written += 1;
    }
    Ok(written)
}

/// Sends every row, and returns which blobs the rows refer to.
fn send_tables(
    c: &Conn<'_>,
    lines: &mpsc::Sender<String>,
) -> Result<HashSet<Digest>, espalier_db::Error> {
    let gone = || espalier_db::Error::Driver("the backup was abandoned".to_owned());
    for table in espalier_db::tables(c)? {
        let rows = c.query(&format!("select * from {table}"), params![])?;
        let Some(first) = rows.first() else { continue };
        let head = json!({ "table": table, "columns": first.columns() });
        lines.blocking_send(head.to_string()).map_err(|_| gone())?;
        for row in &rows {
            let row = Value::Array(row.values().iter().map(sql_json).collect());
            lines.blocking_send(row.to_string()).map_err(|_| gone())?;
        }
    }
    blobs::to_back_up(c)
}

fn sql_json(value: &Sql) -> Value {
    match value {
        Sql::Null => Value::Null,
        Sql::Int(v) => json!(v),
        Sql::Real(v) => json!(v),
        Sql::Text(v) => json!(v),
        Sql::Blob(v) => json!({ "b": BASE64_STANDARD.encode(v) }),
    }
}

fn json_sql(value: &Value) -> anyhow::Result<Sql> {
    Ok(match value {
        Value::Null => Sql::Null,
        Value::Number(n) => match n.as_i64() {
            Some(v) => Sql::Int(v),
            None => Sql::Real(n.as_f64().context("a number out of range")?),
        },
        Value::String(v) => Sql::Text(v.clone()),
        Value::Object(o) => {
            let text = o
                .get("b")
                .and_then(Value::as_str)
                .context("an object that holds no bytes")?;
            Sql::Blob(
                BASE64_STANDARD
                    .decode(text)
                    .context("bytes that are not base64")?,
            )
        }
        Value::Bool(_) | Value::Array(_) => bail!("a value of the wrong kind"),
    })
}

fn measured_json(value: &Measured) -> Value {
    match value {
        Measured::Number(v) => json!(v),
        Measured::Bool(v) => json!(v),
        Measured::Text(v) => json!(&**v),
        Measured::Json(v) => json!({ "j": &**v }),
    }
}

fn json_measured(value: &Value) -> anyhow::Result<Measured> {
    Ok(match value {
        Value::Number(n) => Measured::Number(n.as_f64().context("a number out of range")?),
        Value::Bool(v) => Measured::Bool(*v),
        Value::String(v) => Measured::Text(v.as_str().into()),
        Value::Object(o) => Measured::Json(
            o.get("j")
                .and_then(Value::as_str)
                .context("a wrong object")?
                .into(),
        ),
        Value::Null | Value::Array(_) => bail!("a value of the wrong kind"),
    })
}

/// One line of an archive.
enum Line {
    Table { table: String, columns: Vec<String> },
    Series { device: Uuid, key: Arc<str> },
    Items(Vec<Value>),
    Blob(Bytes),
    End(Contents),
}

/// Reads an archive line by line.
struct Reader {
    lines: BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>,
}

impl Reader {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut reader = Self {
            lines: BufReader::new(zstd::stream::read::Decoder::new(file)?),
        };
        let head = reader
            .json()
            .context("this is not an Espalier backup")?
            .context("the backup is empty")?;
        match head["espalier_backup"].as_u64() {
            Some(1..=FORMAT) => Ok(reader),
            Some(n) => bail!(
                "the backup has format {n}, which is newer than this program; update Espalier first"
            ),
            None => bail!("this is not an Espalier backup"),
        }
    }

    fn json(&mut self) -> anyhow::Result<Option<Value>> {
        use std::io::Read;
        let mut line = Vec::new();
        let limit = MAX_LINE as u64;
        if self
            .lines
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(None);
        }
        Ok(Some(
            serde_json::from_slice(&line).context("the backup is damaged")?,
        ))
    }

    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        let Some(value) = self.json()? else {
            return Ok(None);
        };
        if let Value::Array(items) = value {
            return Ok(Some(Line::Items(items)));
        }
        if let Some(table) = value["table"].as_str() {
            let columns = serde_json::from_value(value["columns"].clone())?;
            return Ok(Some(Line::Table {
                table: table.to_owned(),
                columns,
            }));
        }
        if let Some(key) = value["series"].as_str() {
            let device = value["device"]
                .as_str()
                .context("a series without its device")?
                .parse()?;
            return Ok(Some(Line::Series {
                device,
                key: key.into(),
            }));
        }
        if let Some(name) = value["blob"].as_str() {
            let bytes = value["b"].as_str().map(|text| BASE64_STANDARD.decode(text));
            let bytes = bytes.context("a blob without its bytes")?;
            let bytes = bytes.context("bytes that are not base64")?;
            anyhow::ensure!(
                hex::encode(Sha256::digest(&bytes)) == name,
                "the backup is damaged: the blob {name} is not what its name says"
            );
            return Ok(Some(Line::Blob(bytes.into())));
        }
        let end = value.get("end").context("the backup is damaged")?;
        Ok(Some(Line::End(serde_json::from_value(end.clone())?)))
    }
}

/// Reads an archive from end to end and tells what it holds.
///
/// # Errors
/// Says what is wrong when it is not an archive, damaged, cut short, or of a newer program.
pub fn check(path: &Path) -> anyhow::Result<Contents> {
    let mut reader = Reader::open(path)?;
    let (mut found, mut in_table) = (Contents::default(), None);
    while let Some(line) = reader.next()? {
        match (line, in_table) {
            (Line::Table { columns, .. }, _) => in_table = Some(columns.len()),
            (Line::Series { .. }, _) => in_table = Some(0),
            (Line::Items(items), Some(0)) => {
                items.iter().try_for_each(|item| sample(item).map(|_| ()))?;
                found.points += items.len() as u64;
            }
            (Line::Items(items), Some(columns)) => {
                anyhow::ensure!(
                    items.len() == columns,
                    "the backup is damaged: a row has {} values",
                    items.len()
                );
                items
                    .iter()
                    .try_for_each(|item| json_sql(item).map(|_| ()))?;
                found.rows += 1;
            }
            (Line::Blob(_), _) => found.blobs += 1,
            (Line::Items(_), None) => bail!("the backup is damaged: a row before its table"),
            (Line::End(end), _) => {
                anyhow::ensure!(
                    end == found,
                    "the backup is not whole: it should hold {end:?} and holds {found:?}"
                );
                return Ok(found);
            }
        }
    }
    bail!("the backup is not whole: its end is missing")
}

fn sample(item: &Value) -> anyhow::Result<(i64, Measured)> {
    let ts = item[0].as_i64().context("a sample without its time")?;
    Ok((ts, json_measured(&item[1])?))
}

/// Checks an archive and leaves it for the next start.
///
/// # Errors
/// As [`check`], or when the data folder cannot be written.
pub fn stage(data: &Path, archive: PathBuf) -> anyhow::Result<Contents> {
    let contents = check(&archive)?;
    let pending = data.join(PENDING);
    std::fs::rename(&archive, &pending)
        .with_context(|| format!("cannot create {}", pending.display()))?;
    File::open(data).and_then(|folder| folder.sync_all())?;
    Ok(contents)
}

/// Receives an archive from a request, stages it and makes the server start anew with it.
pub(super) async fn restore_body(app: &AppState, body: Body) -> Result<Restored, ApiError> {
    let Ok(_only_one) = app.ops.restoring.try_write() else {
        return Err(ApiError::conflict(
            "restore_running",
            "Another restore is running; wait for it.",
        ));
    };
    let incoming = app.config.data.join("restore.incoming.zst");
    let mut file = tokio::fs::File::create(&incoming)
        .await
        .map_err(ApiError::internal)?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            ApiError::bad_request("unreadable_body", "The upload broke off; send it again.")
        })?;
        tokio::io::AsyncWriteExt::write_all(&mut file, &piece)
            .await
            .map_err(ApiError::internal)?;
    }
    file.sync_all().await.map_err(ApiError::internal)?;
    let data = app.config.data.clone();
    let contents = tokio::task::spawn_blocking(move || stage(&data, incoming))
        .await
        .map_err(ApiError::internal)?
        .map_err(|error| ApiError::bad_request("not_a_backup", format!("{error:#}")))?;
    app.restart();
    Ok(Restored {
        message: "The archive is whole. The server starts anew with it now.",
        contents,
    })
}

/// Restores a staged archive, if there is one; called by the start before anything is loaded into memory.
///
/// # Errors
/// Fails when a store cannot be written; the archive stays and the next start tries again.
pub async fn apply_pending(
    config: &Config,
    db: &Db,
    tsdb: &Tsdb,
    blobs: &blobs::State,
) -> anyhow::Result<()> {
    let pending = config.data.join(PENDING);
    if !pending.exists() {
        return Ok(());
    }
    tracing::info!(archive = %pending.display(), "restoring");
    for row in db
        .read(|c| c.query("select id from device", params![]))
        .await?
    {
        tsdb.delete_device(row.get::<String>("id")?.parse()?)
            .await?;
    }
    let archive = pending.clone();
    db.write(move |c| {
        replace_tables(c, &archive).map_err(|e| espalier_db::Error::Driver(format!("{e:#}")))
    })
    .await?;
    let mut reader = Reader::open(&pending)?;
    let mut series: Option<(Uuid, Arc<str>)> = None;
    while let Some(line) = reader.next()? {
        match (line, &series) {
            (Line::Series { device, key }, _) => series = Some((device, key)),
            (Line::Items(items), Some((device, key))) => {
                let point = |item: &Value| {
                    sample(item).map(|(ts, value)| Point {
                        device: *device,
                        key: key.clone(),
                        ts,
                        value,
                    })
                };
                tsdb.append(items.iter().map(point).collect::<anyhow::Result<_>>()?)
                    .await?;
            }
            (Line::Blob(bytes), _) => {
                let kept = blobs.put(bytes).await;
                kept.map_err(|error| anyhow::anyhow!("a blob was not restored: {error}"))?;
            }
            _ => {}
        }
    }
    tsdb.seal_now().await?;
    std::fs::remove_file(&pending)?;
    tracing::info!("restored");
    Ok(())
}

fn replace_tables(c: &Conn<'_>, archive: &Path) -> anyhow::Result<()> {
    let known = espalier_db::tables(c)?;
    for table in known.iter().rev() {
        c.execute(&format!("delete from {table}"), params![])?;
    }
    let mut reader = Reader::open(archive)?;
    let mut insert = String::new();
    while let Some(line) = reader.next()? {
        match line {
            Line::Table { table, columns } => {
                anyhow::ensure!(
                    known.contains(&table),
                    "the backup holds a table {table} that this program does not know"
                );
                let name = |c: &String| {
                    c.chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                };
                anyhow::ensure!(
                    columns.iter().all(name),
                    "the backup holds a column that this program does not know"
                );
                let places: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
                insert = format!(
                    "insert into {table} ({}) values ({})",
                    columns.join(", "),
                    places.join(", ")
                );
            }
            Line::Items(items) => {
                let values = items
                    .iter()
                    .map(json_sql)
                    .collect::<anyhow::Result<Vec<_>>>()?;
                c.execute(&insert, &values)?;
            }
            Line::Series { .. } | Line::Blob(_) | Line::End(_) => break,
        }
    }
    // A session of the past must not sign anybody in again.
    c.execute("delete from session", params![])?;
    Ok(())
}
