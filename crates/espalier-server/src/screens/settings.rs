//! What a device's screen shows, as people set it: the mode, the pictures and their turn, the tiles of the dashboard.

use super::paint::dither::Fit;
use crate::ApiError;
use crate::telemetry;
use espalier_wire::limits::check_key;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most pictures of one screen.
pub const MAX_PICTURES: usize = 50;
/// The most tiles of a dashboard.
pub const MAX_TILES: usize = 8;
/// The longest title, label and unit, characters.
const MAX_TITLE: usize = 60;
const MAX_LABEL: usize = 40;
const MAX_UNIT: usize = 12;
/// The longest text block, characters.
const MAX_TEXT: usize = 500;
/// The shortest and longest turn of a picture, seconds. Electronic paper is not to be drawn anew all the time.
const TURN: std::ops::RangeInclusive<u32> = 30..=86_400;

/// What `_current.bmp` shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Tiles with what the board measures, and what else the layout says.
    #[default]
    Dashboard,
    /// The pictures, one after the other.
    Images,
    /// The texts, one after the other.
    Content,
}

/// Whether the dashboard tells the time. A clock is drawn anew every minute, a date once a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClockFace {
    /// Neither.
    Off,
    /// The date.
    #[default]
    Date,
    /// The date and the time.
    Time,
}

/// One value on the dashboard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tile {
    /// The telemetry key.
    pub key: String,
    /// What to call it, up to 40 characters; without one the key in words.
    #[serde(default)]
    #[schema(max_length = 40)]
    pub label: Option<String>,
    /// Its unit, up to 12 characters; without one the usual unit of such a key. An empty text means none.
    #[serde(default)]
    #[schema(max_length = 12)]
    pub unit: Option<String>,
    /// Digits after the point, 0 to 6; without one as many as the value needs.
    #[serde(default)]
    #[schema(maximum = 6)]
    pub decimals: Option<u8>,
    /// Whether the curve of the last 24 hours is drawn below; by default it is.
    #[serde(default = "yes")]
    pub chart: bool,
}

fn yes() -> bool {
    true
}

/// What the dashboard is made of. With nothing chosen it shows the newest values of the board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ScreenLayout {
    /// The heading, up to 60 characters; without one the device's name.
    #[schema(max_length = 60)]
    pub title: Option<String>,
    /// Up to 8 values; none chosen means the first six keys with a value.
    #[schema(max_items = 8)]
    pub tiles: Vec<Tile>,
    /// A text of your own, up to 500 characters.
    #[schema(max_length = 500)]
    pub text: Option<String>,
    /// Show one of the device's texts (jokes, riddles, your own) where `text` would stand.
    pub content: bool,
    /// The id of a picture to show beside the values.
    pub image: Option<String>,
}

/// What a device's screen shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// What `_current.bmp` shows.
    pub mode: Mode,
    /// How long each picture or text stays, 30 to 86400 seconds; by default 300.
    #[schema(minimum = 30, maximum = 86400)]
    pub rotation_seconds: u32,
    /// How pictures fill the screen.
    pub fit: Fit,
    /// The time zone of dates and times, an IANA name; by default `UTC`.
    pub timezone: String,
    /// Whether the dashboard tells the time.
    pub clock: ClockFace,
    /// What the dashboard is made of.
    pub layout: ScreenLayout,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            rotation_seconds: 300,
            fit: Fit::default(),
            timezone: "UTC".to_owned(),
            clock: ClockFace::default(),
            layout: ScreenLayout::default(),
        }
    }
}

impl Settings {
    /// Trims texts and checks every limit.
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn checked(mut self) -> Result<Self, ApiError> {
        if !TURN.contains(&self.rotation_seconds) {
            let why = format!("must be {} to {} seconds", TURN.start(), TURN.end());
            return Err(wrong("rotation_seconds", why));
        }
        telemetry::zone(&self.timezone).map_err(|why| wrong("timezone", why))?;
        let layout = &mut self.layout;
        tidy(&mut layout.title, "layout.title", MAX_TITLE)?;
        tidy(&mut layout.text, "layout.text", MAX_TEXT)?;
        if layout.tiles.len() > MAX_TILES {
            return Err(wrong(
                "layout.tiles",
                format!("may have at most {MAX_TILES}"),
            ));
        }
        for tile in &mut layout.tiles {
            check_key(&tile.key).map_err(|why| wrong("layout.tiles.key", why.to_string()))?;
            tidy(&mut tile.label, "layout.tiles.label", MAX_LABEL)?;
            // An empty unit is a wish of its own.
            let none = tile
                .unit
                .as_deref()
                .is_some_and(|unit| unit.trim().is_empty());
            tidy(&mut tile.unit, "layout.tiles.unit", MAX_UNIT)?;
            if none {
                tile.unit = Some(String::new());
            }
            if tile.decimals.is_some_and(|n| n > 6) {
                return Err(wrong("layout.tiles.decimals", "must be 0 to 6"));
            }
        }
        Ok(self)
    }
}

fn wrong(field: &str, why: impl Into<String>) -> ApiError {
    let loc: Vec<&str> = std::iter::once("body").chain(field.split('.')).collect();
    ApiError::invalid(&loc, why)
}

/// Trims a text, takes an empty one away and refuses one that is too long. Lines may be broken, other controls go.
fn tidy(text: &mut Option<String>, field: &str, most: usize) -> Result<(), ApiError> {
    let Some(found) = text.take() else {
        return Ok(());
    };
    let clean: String = found
        .trim()
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    if clean.chars().count() > most {
        return Err(wrong(field, format!("may have at most {most} characters")));
    }
    *text = Some(clean).filter(|text| !text.is_empty());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: serde_json::Value) -> Result<Settings, ApiError> {
        serde_json::from_value::<Settings>(json).unwrap().checked()
    }

    #[test]
    fn nothing_said_is_a_dashboard_with_sensible_turns() {
        let found = settings(serde_json::json!({})).unwrap();
        assert_eq!(found, Settings::default());
        assert_eq!(found.rotation_seconds, 300);
        assert_eq!(found.timezone, "UTC");
        let back = serde_json::to_value(&found).unwrap();
        assert_eq!(settings(back).unwrap(), found);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let cases = [
            (
                serde_json::json!({ "rotation_seconds": 5 }),
                "rotation_seconds",
            ),
            (
                serde_json::json!({ "timezone": "Mars/Olympus" }),
                "timezone",
            ),
            (
                serde_json::json!({ "layout": { "tiles": [{ "key": "" }] } }),
                "key",
            ),
            (
                serde_json::json!({ "layout": { "title": "x".repeat(61) } }),
                "title",
            ),
            (
                serde_json::json!({ "layout": { "tiles": [{ "key": "t", "decimals": 7 }] } }),
                "decimals",
            ),
        ];
        for (json, field) in cases {
            let error = settings(json).unwrap_err();
            assert!(error.message().contains(field), "{error}");
        }
    }

    #[test]
    fn an_empty_unit_is_kept_and_an_empty_label_is_none() {
        let tile = serde_json::json!({ "key": "t", "unit": " ", "label": " " });
        let found = settings(serde_json::json!({ "layout": { "tiles": [tile] } })).unwrap();
        let tile = &found.layout.tiles[0];
        assert_eq!((tile.unit.as_deref(), &tile.label), (Some(""), &None));
        assert!(tile.chart);
    }
}
