//! What one device's screen is made of, read in one look at the database; and whose turn it is.

use super::content::{self, Item, Preferences};
use super::images::Image;
use super::settings::{MAX_PICTURES, Settings};
use super::{images, store};
use crate::devices::{Device, cms};
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use espalier_db::Conn;
use espalier_model::AccountId;
use std::sync::Arc;

/// A device's screen as it is set, with what it has to show.
#[derive(Debug, Clone)]
pub struct View {
    pub device: Arc<Device>,
    pub settings: Settings,
    pub preferences: Preferences,
    /// The pictures in their order.
    pub pictures: Vec<Image>,
    /// The texts, those of its owner first.
    pub items: Vec<Item>,
    /// Grows with every change of the settings; 0 before the first.
    pub version: i64,
    pub updated_at: Option<i64>,
}

/// Reads a device's screen. One that was never set is a dashboard.
pub async fn of(app: &AppState, device: &Arc<Device>) -> ApiResult<View> {
    let now = app.clock.now_ms();
    let (device, said) = (device.clone(), said_by(app, device));
    app.db.read(move |c| read(c, &device, &said, now)).await
}

/// What an old board said of its wishes when it registered; it holds until somebody sets them.
fn said_by(app: &AppState, device: &Device) -> Preferences {
    let legacy = cms::of(app, device.id);
    let text = legacy.and_then(|legacy| legacy.profile.preferences.clone());
    let said: Option<Preferences> = text.and_then(|text| serde_json::from_str(&text).ok());
    said.unwrap_or_default().known()
}

fn read(c: &Conn<'_>, device: &Arc<Device>, said: &Preferences, now: i64) -> ApiResult<View> {
    let stored = store::screen(c, device.id)?;
    let (mut settings, mut preferences) = (Settings::default(), said.clone());
    if let Some(stored) = &stored {
        settings = serde_json::from_str(&stored.settings).map_err(ApiError::internal)?;
        preferences = serde_json::from_str(&stored.preferences).map_err(ApiError::internal)?;
    }
    Ok(View {
        pictures: store::pictures(c, device.id)?,
        items: content::items(c, device, &preferences, now)?,
        version: stored.as_ref().map_or(0, |stored| stored.version),
        updated_at: stored.map(|stored| stored.updated_at),
        device: device.clone(),
        settings,
        preferences,
    })
}

impl View {
    /// Which of `many` has its turn at a moment: it moves on by time alone, so every board and every look agree.
    pub fn turn(&self, many: usize, now: i64) -> usize {
        let many = i64::try_from(many.max(1)).unwrap_or(i64::MAX);
        let turns = now / (i64::from(self.settings.rotation_seconds.max(1)) * 1000);
        usize::try_from(turns.rem_euclid(many)).unwrap_or(0)
    }
}

/// What changes of a screen; what is absent stays.
#[derive(Debug, Default)]
pub struct Change {
    pub settings: Option<Settings>,
    pub preferences: Option<Preferences>,
    /// Ids or names of pictures, in their order.
    pub pictures: Option<Vec<String>>,
}

/// Changes a device's screen. Pictures must be the device's owner's or those of who asks.
pub async fn change(
    app: &AppState,
    device: &Arc<Device>,
    asks: AccountId,
    change: Change,
) -> ApiResult<View> {
    let settings = change.settings.map(Settings::checked).transpose()?;
    let preferences = change.preferences.map(Preferences::known);
    if change
        .pictures
        .as_ref()
        .is_some_and(|list| list.len() > MAX_PICTURES)
    {
        let why = format!("a screen can have {MAX_PICTURES} pictures");
        return Err(ApiError::invalid(&["body", "images"], why));
    }
    let (device, said) = (device.clone(), said_by(app, device));
    let (pictures, now) = (change.pictures, app.clock.now_ms());
    let write = move |c: &Conn<'_>| {
        if device.is_deleted() {
            return Err(ApiError::not_found("Device"));
        }
        let old = read(c, &device, &said, now)?;
        let settings = settings.as_ref().unwrap_or(&old.settings);
        // What stands there already stays, whoever put it there and whether or not it was deleted since.
        let find = |id: &String| {
            let mut known = old.pictures.iter();
            match known.find(|one| one.id == *id || one.name == *id) {
                Some(known) => Ok(known.id.clone()),
                None => find_picture(c, id, device.owner, asks),
            }
        };
        if let Some(image) = &settings.layout.image
            && old.settings.layout.image.as_ref() != Some(image)
        {
            find(image)?;
        }
        let json = |text: serde_json::Result<String>| text.map_err(ApiError::internal);
        let preferences = preferences.as_ref().unwrap_or(&old.preferences);
        let (settings, preferences) = (
            json(serde_json::to_string(settings))?,
            json(serde_json::to_string(preferences))?,
        );
        store::put_screen(c, device.id, &settings, &preferences, now)?;
        if let Some(pictures) = &pictures {
            let found: Vec<String> = pictures.iter().map(find).collect::<ApiResult<_>>()?;
            store::put_pictures(c, device.id, &found)?;
        }
        read(c, &device, &said, now)
    };
    app.db.write(write).await
}

/// The id of a picture that is named by its id or its name, when it is one of these accounts'.
fn find_picture(c: &Conn<'_>, name: &str, owner: AccountId, asks: AccountId) -> ApiResult<String> {
    let found = match store::image(c, name)? {
        Some(found) => Some(found),
        None => store::image_by_name(c, name)?,
    };
    found
        .filter(|image| image.owner == owner || image.owner == asks)
        .map(|image| image.id)
        .ok_or_else(images::no_image)
}
