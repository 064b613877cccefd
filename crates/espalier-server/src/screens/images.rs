//! The pictures that people upload for their screens: kept as they came, shown only as dots.

use super::paint::{Bitmap, HEIGHT, WIDTH, decode, dither};
use super::{Fit, store};
use crate::error::ApiResult;
use crate::identity::Caller;
use crate::ota::blobs;
use crate::{ApiError, AppState, random};
use axum::http::StatusCode;
use bytes::Bytes;
use espalier_db::Conn;
use espalier_model::{AccountId, Role};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Pictures of one account.
const MAX_IMAGES: i64 = 200;
/// The longest title, characters.
const MAX_TITLE: usize = 100;

/// A picture in somebody's collection.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its 24-digit id.
    pub id: String,
    /// Whose it is.
    pub owner: AccountId,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// What old boards call it.
    pub name: String,
    /// What its owner called the file.
    pub title: String,
    /// `png`, `jpeg`, `gif`, `webp` or `bmp`.
    pub kind: String,
    /// Pixels per row.
    pub width: i64,
    /// Rows.
    pub height: i64,
    /// Bytes of the file.
    pub size: i64,
    /// When it was uploaded, milliseconds UTC.
    pub created_at: i64,
}

/// There is no such picture for the one who asks.
pub fn no_image() -> ApiError {
    ApiError::not_found("Picture")
}

/// Refuses accounts that may only look.
pub fn may_change(caller: &Caller) -> ApiResult<()> {
    if caller.role == Role::Viewer {
        return Err(ApiError::forbidden(
            "Your account may only look; ask an admin for the member role.",
        ));
    }
    Ok(())
}

/// Takes a picture into the caller's collection. The same file twice is one picture.
pub async fn upload(app: &AppState, caller: &Caller, title: &str, file: Bytes) -> ApiResult<Image> {
    may_change(caller)?;
    let owner = caller.account;
    let bytes = file.clone();
    let what = move |read: decode::Decoded| {
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        (
            sha256,
            read.kind,
            read.picture.width(),
            read.picture.height(),
        )
    };
    let (sha256, kind, width, height) = read(app, file.clone(), what).await?;
    let size = i64::try_from(file.len()).unwrap_or(i64::MAX);
    // Held from before the file is there until a row refers to it: whoever deletes the last other picture of the same file would
    // take it away in between.
    let _hold = app.ota.blobs.hold(&sha256).await;
    app.ota.blobs.put(file).await?;
    let image = Image {
        id: random::oid(&app.clock).to_string(),
        owner,
        sha256,
        // Short, because old boards have room for 2 kB of names; no secret: who may read it is asked each time.
        name: format!("{}.bmp", hex::encode(random::bytes::<6>())),
        title: title_of(title),
        kind: kind.to_owned(),
        width: i64::from(width),
        height: i64::from(height),
        size,
        created_at: app.clock.now_ms(),
    };
    let keep = move |c: &Conn<'_>| {
        if let Some(known) = store::image_by_digest(c, owner, image.sha256)? {
            return Ok(known);
        }
        if store::count_images(c, owner)? >= MAX_IMAGES {
            let why = format!("An account can have {MAX_IMAGES} pictures; delete one first.");
            return Err(ApiError::conflict("too_many_images", why));
        }
        store::insert_image(c, &image)?;
        Ok(image.clone())
    };
    app.db.write(keep).await
}

/// The last part of a file's name, without what could be mistaken for something else.
fn title_of(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_TITLE)
        .collect();
    if clean.is_empty() {
        "picture".to_owned()
    } else {
        clean
    }
}

/// The caller's pictures, the newest first.
pub async fn list(app: &AppState, caller: &Caller) -> ApiResult<Vec<Image>> {
    let owner = caller.account;
    Ok(app.db.read(move |c| store::images_of(c, owner)).await?)
}

/// A picture of the caller's, or anybody's for an admin.
pub async fn own(app: &AppState, caller: &Caller, id: &str) -> ApiResult<Image> {
    let id = id.to_owned();
    let found = app.db.read(move |c| store::image(c, &id)).await?;
    found
        .filter(|image| caller.sees(image.owner))
        .ok_or_else(no_image)
}

/// Removes a picture from its owner's collection and from every screen.
pub async fn delete(app: &AppState, caller: &Caller, id: &str) -> ApiResult<()> {
    may_change(caller)?;
    let image = own(app, caller, id).await?;
    let id = image.id;
    if !app.db.write(move |c| store::delete_image(c, &id)).await? {
        return Err(no_image());
    }
    blobs::release(app, &image.sha256).await?;
    Ok(())
}

/// The picture as dots that fill a screen. The newest of them are in memory.
pub async fn dots(app: &AppState, image: &Image, fit: Fit) -> ApiResult<Arc<Bitmap>> {
    dots_of(app, image, WIDTH, HEIGHT, fit).await
}

/// The picture as dots of another size.
pub async fn dots_of(
    app: &AppState,
    image: &Image,
    width: usize,
    height: usize,
    fit: Fit,
) -> ApiResult<Arc<Bitmap>> {
    let key = (image.sha256, width, height, fit);
    if let Some(found) = app.screens.dots.get(&key) {
        return Ok(found);
    }
    let file = app.ota.blobs.get(&image.sha256).await?;
    let make = move |read: decode::Decoded| dither::dots(&read.picture, width, height, fit);
    let dots = Arc::new(read(app, file, make).await?);
    app.screens.dots.put(key, dots.clone());
    Ok(dots)
}

/// Reads a picture on a thread of its own and makes something of it, one at a time: each may take hundreds of megabytes. The turn
/// goes with the work, which goes on when nobody waits for it any more.
async fn read<T: Send + 'static>(
    app: &AppState,
    file: Bytes,
    make: impl FnOnce(decode::Decoded) -> T + Send + 'static,
) -> ApiResult<T> {
    let turn = app.screens.decoding.clone().acquire_owned().await;
    let turn = turn.map_err(ApiError::internal)?;
    let work = move || {
        let _turn = turn;
        decode::decode(&file).map(make)
    };
    let read = tokio::task::spawn_blocking(work).await;
    // A reader that gives up in the middle of a hostile file says no more than that it cannot be read.
    let read = read
        .unwrap_or_else(|_| Err("The picture cannot be read; save it again as PNG.".to_owned()));
    read.map_err(|why| ApiError::new(StatusCode::BAD_REQUEST, "not_a_picture", why))
}
