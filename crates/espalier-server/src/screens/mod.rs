//! Screens: pictures, texts and dashboards for boards with electronic paper of 800×480 pixels in black and white.
//!
//! People upload pictures, write texts and choose tiles; boards fetch one file that is drawn here, because they have no room to
//! draw. It is drawn only when something changed, and what was uploaded is never given out as it came. It fetches nothing from
//! elsewhere.
//!
//! Reading order: `settings.rs` (what people choose), `view.rs` (one device's screen), `render.rs` (what stands there now),
//! `paint/` (pixels), `boards.rs` (what old boards read), `who.rs` (who may).

mod boards;
mod cache;
mod content;
mod http;
mod images;
mod paint;
mod presets;
mod render;
mod settings;
mod store;
mod view;
mod who;
mod words;

pub use http::boards::screen_file;
pub use paint::dither::Fit;
pub use who::Who;

/// What a device's screen has of its own.
#[derive(Debug, Default, Clone)]
pub struct Belongings {
    /// Texts for this device alone.
    pub texts: u64,
    /// The names of its pictures, in their order.
    pub pictures: Vec<String>,
}

/// What goes with a device when it is deleted.
///
/// # Errors
/// Fails when the database does.
pub async fn belongings(
    app: &AppState,
    device: espalier_model::DeviceId,
) -> crate::error::ApiResult<Belongings> {
    let read = move |c: &espalier_db::Conn<'_>| {
        let pictures = store::pictures(c, device)?;
        Ok::<_, espalier_db::Error>(Belongings {
            texts: store::count_texts_of(c, device)?.unsigned_abs(),
            pictures: pictures.into_iter().map(|one| one.name).collect(),
        })
    };
    Ok(app.db.read(read).await?)
}

use crate::AppState;
use axum::extract::DefaultBodyLimit;
use espalier_model::DeviceId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A form with one picture: the file and what is around it.
const MAX_FORM: usize = paint::decode::MAX_FILE + (64 << 10);
/// Pictures that are kept drawn, 100 kB each.
const DRAWN: usize = 256;
/// UploadedPicture pictures that are kept as dots, 48 kB each.
const DOTS: usize = 256;
/// How many locks the devices share for drawing.
const TURNS: usize = 64;

/// A picture as dots: its digest, its size, how it fills it.
type DotsKey = ([u8; 32], usize, usize, Fit);

/// What of this feature lives in memory. All of it can be made again.
pub struct State {
    drawn: cache::Cache<(DeviceId, render::Which), render::Drawn>,
    dots: cache::Cache<DotsKey, Arc<paint::Bitmap>>,
    turns: [Mutex<()>; TURNS],
    decoding: Arc<Semaphore>,
    renders: AtomicU64,
}

impl State {
    /// Begins with nothing drawn.
    pub fn new() -> Self {
        Self {
            drawn: cache::Cache::new(DRAWN),
            dots: cache::Cache::new(DOTS),
            turns: std::array::from_fn(|_| Mutex::default()),
            decoding: Arc::new(Semaphore::new(1)),
            renders: AtomicU64::new(0),
        }
    }

    /// How many screens were drawn since the start.
    pub fn renders(&self) -> u64 {
        self.renders.load(Ordering::Relaxed)
    }

    fn turn_of(&self, device: DeviceId) -> &Mutex<()> {
        // The last byte of a UUIDv7 is random.
        &self.turns[usize::from(device.0.as_bytes()[15]) % TURNS]
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// The routes of this feature. `GET /dashboards/{id}_current.bmp` comes in by [`crate::control`] and [`screen_file`].
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(
            http::images::list_images,
            http::images::upload_image
        ))
        .routes(routes!(http::forms::post_upload))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .routes(routes!(http::images::delete_image))
        .routes(routes!(http::images::preview_image))
        .routes(routes!(http::screen::get_screen, http::screen::put_screen))
        .routes(routes!(http::screen::preview))
        .routes(routes!(http::content::list_texts, http::content::post_text))
        .routes(routes!(http::content::put_text, http::content::delete_text))
        .routes(routes!(http::content::list_sources))
        .routes(routes!(http::forms::post_assignments))
        .routes(routes!(http::forms::post_source))
        .routes(routes!(http::boards::get_content))
        .routes(routes!(http::boards::get_sequence))
        .routes(routes!(
            http::boards::get_preferences,
            http::boards::put_preferences
        ))
        .routes(routes!(http::boards::get_page))
        .routes(routes!(http::boards::get_upload))
}
