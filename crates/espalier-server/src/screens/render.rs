//! What stands on a device's screen right now, drawn only when something of it changed.
//!
//! What a picture is made of is put together first, from memory and one read of the database, and compared with what the last
//! picture was made of; only a difference is drawn. The ETag is a digest of the pixels, so a board that has them is told so.

use super::paint::board::{self, Board, Tile, Words};
use super::paint::chart::Curve;
use super::paint::{Bitmap, bmp};
use super::settings::{ClockFace, Mode};
use super::view::{self, View};
use super::{images, store, words};
use crate::devices::Device;
use crate::error::ApiResult;
use crate::telemetry;
use crate::{ApiError, AppState};
use bytes::Bytes;
use espalier_model::DeviceId;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How far curves reach back: the longest whose first tenth has a value is taken, as name, milliseconds and points.
const SPANS: [(&str, i64, usize); 3] = [
    ("24 h", 86_400_000, 96),
    ("6 h", 21_600_000, 72),
    ("1 h", 3_600_000, 60),
];
/// Tiles that a dashboard shows when nobody chose any.
const OWN_CHOICE: usize = 6;

/// A picture ready to be sent.
pub struct Shown {
    /// Its pixels.
    pub picture: Arc<Bitmap>,
    /// The file for boards.
    pub bmp: Bytes,
    /// A digest of the pixels, in quotes.
    pub etag: String,
}

/// A drawn picture with what it was made of.
#[derive(Clone)]
pub struct Drawn {
    made_of: [u8; 32],
    /// When its curves move on, milliseconds UTC.
    until: i64,
    shown: Arc<Shown>,
}

/// Which picture of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// What its settings say.
    Current,
    /// What stands there before anything else does.
    Fallback,
}

/// What a device's screen shows now.
pub async fn current(app: &AppState, device: &Arc<Device>) -> ApiResult<Arc<Shown>> {
    let view = view::of(app, device).await?;
    let now = app.clock.now_ms();
    match view.settings.mode {
        Mode::Images if !view.pictures.is_empty() => {
            let image = &view.pictures[view.turn(view.pictures.len(), now)];
            let made_of = digest(&("image", hex::encode(image.sha256), view.settings.fit))?;
            let dots = images::dots(app, image, view.settings.fit);
            kept(app, device.id, Which::Current, made_of, || async {
                Ok((dots.await?, i64::MAX))
            })
            .await
        }
        Mode::Content if !view.items.is_empty() => {
            let at = view.turn(view.items.len(), now);
            let words = words_of(&view, at);
            let title = heading(&view);
            let place = format!("{} / {}", at + 1, view.items.len());
            let made_of = digest(&("text", &title, &words, &place))?;
            let draw = move || board::text(&title, &words, &place);
            kept(app, device.id, Which::Current, made_of, || async {
                Ok((paint(draw).await?, i64::MAX))
            })
            .await
        }
        _ => dashboard(app, &view, now).await,
    }
}

/// What stands on a device's screen before there is anything else.
pub async fn fallback(app: &AppState, device: &Device) -> ApiResult<Arc<Shown>> {
    let title = device.name.clone();
    let (says, hint) = (
        "Waiting for data",
        format!(
            "Choose what stands here:\n{}/ui/devices/{}",
            app.config.base_url(),
            device.oid
        ),
    );
    let made_of = digest(&(&title, says, &hint))?;
    let draw = move || board::fallback(&title, says, &hint);
    kept(app, device.id, Which::Fallback, made_of, || async {
        Ok((paint(draw).await?, i64::MAX))
    })
    .await
}

/// What a board shows that nobody claimed yet. It says nothing that the board did not say itself.
pub async fn unclaimed(id: &str) -> ApiResult<Shown> {
    let title: String = id.chars().filter(|c| !c.is_control()).take(64).collect();
    let picture = paint(move || {
        board::fallback(
            &title,
            "Waiting to be claimed",
            "An admin of this server finds it under Devices, Waiting boards.",
        )
    });
    shown(picture.await?)
}

/// A picture of a collection as a screen would show it.
pub fn shown(picture: Arc<Bitmap>) -> ApiResult<Shown> {
    let bmp = Bytes::from(bmp::encode(&picture));
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&bmp)[..12]));
    Ok(Shown { picture, bmp, etag })
}

/// The picture that was drawn of the same things before, or else a new one.
async fn kept<F>(
    app: &AppState,
    device: DeviceId,
    which: Which,
    made_of: [u8; 32],
    draw: impl FnOnce() -> F,
) -> ApiResult<Arc<Shown>>
where
    F: Future<Output = ApiResult<(Arc<Bitmap>, i64)>>,
{
    let screens = &app.screens;
    let now = app.clock.now_ms();
    let known = |drawn: &Drawn| drawn.made_of == made_of && now < drawn.until;
    if let Some(drawn) = screens.drawn.get(&(device, which)).filter(known) {
        return Ok(drawn.shown);
    }
    // Who asks for the same at the same time waits for one picture.
    let _turn = screens.turn_of(device).lock().await;
    if let Some(drawn) = screens.drawn.get(&(device, which)).filter(known) {
        return Ok(drawn.shown);
    }
    let (picture, until) = draw().await?;
    screens.renders.fetch_add(1, Ordering::Relaxed);
    let shown = Arc::new(shown(picture)?);
    let drawn = Drawn {
        made_of,
        until,
        shown: shown.clone(),
    };
    screens.drawn.put((device, which), drawn);
    Ok(shown)
}

async fn paint(draw: impl FnOnce() -> Bitmap + Send + 'static) -> ApiResult<Arc<Bitmap>> {
    let picture = tokio::task::spawn_blocking(draw).await;
    picture.map(Arc::new).map_err(ApiError::internal)
}

fn digest(things: &impl Serialize) -> ApiResult<[u8; 32]> {
    let bytes = serde_json::to_vec(things).map_err(ApiError::internal)?;
    Ok(Sha256::digest(bytes).into())
}

fn heading(view: &View) -> String {
    let own = view.settings.layout.title.clone();
    own.unwrap_or_else(|| view.device.name.clone())
}

fn words_of(view: &View, at: usize) -> Words {
    let item = &view.items[at];
    Words {
        title: item.title.clone(),
        text: item.text.clone(),
        answer: item.answer.clone(),
    }
}

async fn dashboard(app: &AppState, view: &View, now: i64) -> ApiResult<Arc<Shown>> {
    let (values, newest) = telemetry::latest(app, &view.device).await?;
    let (mut board, keys) = compose(view, &values, newest, now)?;
    let layout = &view.settings.layout;
    let image = match &layout.image {
        Some(id) => {
            let id = id.clone();
            app.db.read(move |c| store::image(c, &id)).await?
        }
        None => None,
    };
    let of_image = image.as_ref().map(|image| hex::encode(image.sha256));
    // The newest time stands for the points of the curves: they are read only to draw.
    let made_of = digest(&(&board, &keys, newest, of_image, view.settings.fit))?;
    let draw = || async {
        let until = curves(app, &view.device, &keys, &mut board, now).await?;
        if let Some(image) = &image {
            let (w, h) = board::image_size(!board.tiles.is_empty(), board.words.is_some());
            board.image = Some(images::dots_of(app, image, w, h, view.settings.fit).await?);
        }
        let picture = paint(move || board::dashboard(&board)).await?;
        Ok((picture, until))
    };
    kept(app, view.device.id, Which::Current, made_of, draw).await
}

/// Everything of a dashboard but its curves and its picture, and the key of each tile that has a curve.
fn compose(
    view: &View,
    values: &Map<String, Value>,
    newest: Option<i64>,
    now: i64,
) -> ApiResult<(Board, Vec<Option<String>>)> {
    let (settings, device) = (&view.settings, &view.device);
    let tz = telemetry::zone(&settings.timezone).unwrap_or(TimeZone::UTC);
    let chosen = match settings.layout.tiles.is_empty() {
        true => own_choice(values),
        false => settings.layout.tiles.clone(),
    };
    let tiles = chosen.iter().map(|tile| {
        let value = values.get(&tile.key);
        let unit = tile.unit.clone().unwrap_or_else(|| match value {
            Some(Value::Number(_)) => words::unit(&tile.key).to_owned(),
            _ => String::new(),
        });
        Tile {
            label: tile
                .label
                .clone()
                .unwrap_or_else(|| words::label(&tile.key)),
            value: value.map(|value| words::value(value, tile.decimals)),
            unit,
            decimals: tile.decimals,
            ..Tile::default()
        }
    });
    let keys = chosen.iter().map(|tile| {
        let number = values.get(&tile.key).is_some_and(Value::is_number);
        (tile.chart && number).then(|| tile.key.clone())
    });
    let words = match &settings.layout.text {
        Some(text) => Some(Words {
            text: text.clone(),
            ..Words::default()
        }),
        None if settings.layout.content && !view.items.is_empty() => {
            Some(words_of(view, view.turn(view.items.len(), now)))
        }
        None => None,
    };
    let since = |ms| moment(ms, now, &tz);
    let status = match (device.is_online(), device.last_active()) {
        (true, _) => "Online".to_owned(),
        (false, Some(last)) => format!("Offline, last heard {}", since(last)),
        (false, None) => "Not connected yet".to_owned(),
    };
    let show = |wanted: bool, format: &str| wanted.then(|| in_zone(now, &tz, format));
    let board = Board {
        title: heading(view),
        date: show(settings.clock != ClockFace::Off, "%A, %-d %B"),
        time: show(settings.clock == ClockFace::Time, "%H:%M"),
        online: device.is_online(),
        status,
        updated: newest.map(|ms| format!("Values of {}", since(ms))),
        tiles: tiles.collect(),
        words,
        span: None,
        image: None,
    };
    Ok((board, keys.collect()))
}

/// The tiles of a dashboard that nobody arranged: what is known best comes first.
fn own_choice(values: &Map<String, Value>) -> Vec<super::settings::Tile> {
    let mut keys: Vec<&String> = values
        .iter()
        .filter(|(key, value)| !key.starts_with('_') && !value.is_object() && !value.is_array())
        .map(|(key, _)| key)
        .collect();
    keys.sort_by_key(|key| words::rank(key));
    let tile = |key: &String| super::settings::Tile {
        key: key.clone(),
        chart: true,
        ..Default::default()
    };
    keys.into_iter().take(OWN_CHOICE).map(tile).collect()
}

fn in_zone(ms: i64, tz: &TimeZone, format: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    moment.to_zoned(tz.clone()).strftime(format).to_string()
}

/// A moment in words: today only its time.
fn moment(ms: i64, now: i64, tz: &TimeZone) -> String {
    let day = |ms| in_zone(ms, tz, "%Y-%m-%d");
    let format = if day(ms) == day(now) {
        "%H:%M"
    } else {
        "%-d %B, %H:%M"
    };
    in_zone(ms, tz, format)
}

/// Reads the curves of the tiles and returns when they move on.
async fn curves(
    app: &AppState,
    device: &Device,
    keys: &[Option<String>],
    board: &mut Board,
    now: i64,
) -> ApiResult<i64> {
    let wanted: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
    if wanted.is_empty() {
        return Ok(i64::MAX);
    }
    let mut until = i64::MAX;
    for (nth, (name, length, count)) in SPANS.into_iter().enumerate() {
        let width = length / i64::try_from(count).unwrap_or(1);
        // Spans end with whole ones, so that a curve moves on once per span.
        let end = (now / width + 1) * width;
        until = end;
        let found = telemetry::means(app, device, &wanted, end - length, width, count).await?;
        let reaches = found
            .iter()
            .any(|points| points.iter().take(count / 10).any(Option::is_some));
        if !reaches && nth + 1 < SPANS.len() {
            continue;
        }
        let mut found = found.into_iter();
        let with_curve = board
            .tiles
            .iter_mut()
            .zip(keys)
            .filter(|(_, key)| key.is_some());
        for (tile, _) in with_curve {
            let points = found.next().unwrap_or_default();
            let curve = Curve { points };
            let text = |n| words::number(n, tile.decimals);
            tile.range = curve.range().map(|(low, high)| (text(low), text(high)));
            tile.curve = (curve.points.iter().flatten().count() > 1).then_some(curve);
        }
        board.span = Some(name);
        break;
    }
    Ok(until)
}
