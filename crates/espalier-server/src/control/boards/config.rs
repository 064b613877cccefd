//! The types of widgets: what their `config` may hold, and what they can set.
//!
//! Known keys are checked, unknown ones kept: an app may store its own things there.

use crate::ApiError;
use espalier_wire::limits;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The longest `config`, bytes of JSON: room for a small picture.
const MAX_CONFIG: usize = 96 * 1024;
/// The longest text that a text widget sends unless its config says otherwise.
const DEFAULT_TEXT: usize = 256;
/// The range of a slider whose config names none.
const SLIDER_RANGE: (f64, f64) = (0.0, 100.0);

/// What a widget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, Default)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Shows a value.
    #[default]
    Telemetry,
    /// Shows a number on a scale.
    Gauge,
    /// Shows values over time.
    Chart,
    /// Switches a virtual pin; the form that existing apps know.
    Led,
    /// Switches a virtual pin or key.
    Switch,
    /// Sets a number within a range by dragging.
    Slider,
    /// Sets a number by typing.
    Number,
    /// Sets a text.
    Text,
    /// Sends one value at every press.
    Button,
    /// Shows where a device is, as text.
    Location,
    /// Shows a picture.
    Image,
}

impl Kind {
    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Gauge => "gauge",
            Self::Chart => "chart",
            Self::Led => "led",
            Self::Switch => "switch",
            Self::Slider => "slider",
            Self::Number => "number",
            Self::Text => "text",
            Self::Button => "button",
            Self::Location => "location",
            Self::Image => "image",
        }
    }

    /// Tells whether the widget is on or off.
    pub fn is_switch(self) -> bool {
        matches!(self, Self::Led | Self::Switch)
    }

    /// Tells whether the widget sets anything.
    pub fn controls(self) -> bool {
        self.is_switch()
            || matches!(
                self,
                Self::Slider | Self::Number | Self::Text | Self::Button
            )
    }

    /// The keys of `config` that belong to this product; all others are an app's own.
    pub fn known(key: &str) -> bool {
        const KNOWN: [&str; 17] = [
            "key",
            "virtual_pin",
            "unit",
            "decimals",
            "min",
            "max",
            "step",
            "on_value",
            "off_value",
            "value",
            "max_length",
            "url",
            "icon",
            "color",
            "period",
            "format",
            "schedules",
        ];
        KNOWN.contains(&key)
    }
}

impl std::str::FromStr for Kind {
    type Err = serde::de::value::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use serde::de::IntoDeserializer;
        Self::deserialize(text.into_deserializer())
    }
}

fn wrong(key: &str, why: impl Into<String>) -> ApiError {
    ApiError::invalid(&["body", "config", key], why)
}

/// Checks a config and brings it into its stored form: virtual pins in lower case, and for an LED the list
/// of schedules (empty until there are any).
///
/// # Errors
/// 422 that names the key.
pub fn check(kind: Kind, mut config: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    config.retain(|_, value| !value.is_null());
    if let Some(pin) = config.get("virtual_pin") {
        let pin = virtual_pin(pin)?;
        config.insert("virtual_pin".to_owned(), Value::String(pin));
    }
    if let Some(key) = config.get("key") {
        let key = key.as_str().ok_or_else(|| wrong("key", "must be a text"))?;
        limits::check_key(key).map_err(|e| wrong("key", e.to_string()))?;
    }
    text(&config, "unit", 32)?;
    range(kind, &config)?;
    switch_values(kind, &config)?;
    whole(&config, "decimals", 10)?;
    whole(&config, "max_length", limits::MAX_TEXT_VALUE_BYTES as u64)?;
    if kind == Kind::Image && config.contains_key("url") {
        picture(&config["url"])?;
    }
    if kind == Kind::Led {
        // Schedules are the server's; what an app sends back of them is not taken.
        config.insert("schedules".to_owned(), Value::Array(Vec::new()));
    }
    if Value::Object(config.clone()).to_string().len() > MAX_CONFIG {
        let why = format!("is larger than {MAX_CONFIG} bytes; keep large things elsewhere");
        return Err(ApiError::invalid(&["body", "config"], why));
    }
    Ok(config)
}

/// The key whose value the widget shows or sets: its virtual pin, or its key.
pub fn data_key(config: &Map<String, Value>) -> Option<&str> {
    ["virtual_pin", "key"]
        .iter()
        .find_map(|name| config.get(*name)?.as_str())
}

fn virtual_pin(value: &Value) -> Result<String, ApiError> {
    let pin = value.as_str().unwrap_or_default().to_ascii_lowercase();
    let number = pin.strip_prefix('v').unwrap_or_default();
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    if digits && (1..=3).contains(&number.len()) {
        return Ok(pin);
    }
    Err(wrong(
        "virtual_pin",
        "must be v0 to v999; use `key` for other names",
    ))
}

fn text(config: &Map<String, Value>, key: &str, max: usize) -> Result<(), ApiError> {
    match config.get(key) {
        None => Ok(()),
        Some(Value::String(text)) if text.len() <= max => Ok(()),
        Some(_) => Err(wrong(key, format!("must be a text of at most {max} bytes"))),
    }
}

fn whole(config: &Map<String, Value>, key: &str, max: u64) -> Result<(), ApiError> {
    match config.get(key) {
        Some(value) if value.as_u64().is_none_or(|n| n > max) => Err(wrong(
            key,
            format!("must be a whole number from 0 to {max}"),
        )),
        _ => Ok(()),
    }
}

fn number(config: &Map<String, Value>, key: &str) -> Result<Option<f64>, ApiError> {
    match config.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| wrong(key, "must be a number")),
    }
}

fn range(kind: Kind, config: &Map<String, Value>) -> Result<(), ApiError> {
    if !matches!(
        kind,
        Kind::Slider | Kind::Number | Kind::Gauge | Kind::Chart
    ) {
        return Ok(());
    }
    let (min, max) = limits_of(kind, config)?;
    if min.zip(max).is_some_and(|(min, max)| min >= max) {
        return Err(wrong("min", "must be less than max"));
    }
    if number(config, "step")?.is_some_and(|step| step <= 0.0) {
        return Err(wrong("step", "must be greater than 0"));
    }
    Ok(())
}

fn limits_of(
    kind: Kind,
    config: &Map<String, Value>,
) -> Result<(Option<f64>, Option<f64>), ApiError> {
    let (min, max) = (number(config, "min")?, number(config, "max")?);
    Ok(match kind {
        Kind::Slider => (min.or(Some(SLIDER_RANGE.0)), max.or(Some(SLIDER_RANGE.1))),
        _ => (min, max),
    })
}

fn switch_values(kind: Kind, config: &Map<String, Value>) -> Result<(), ApiError> {
    for key in ["on_value", "off_value", "value"] {
        if key == "value" && kind != Kind::Button {
            continue;
        }
        match config.get(key) {
            None | Some(Value::Bool(_) | Value::Number(_)) => {}
            Some(Value::String(text)) if text.len() <= DEFAULT_TEXT => {}
            Some(_) => return Err(wrong(key, "must be a number, a boolean or a short text")),
        }
    }
    if kind.is_switch() && switch_value(config, true) == switch_value(config, false) {
        return Err(wrong("off_value", "must differ from on_value"));
    }
    Ok(())
}

/// The value that a switch sets for on or off.
fn switch_value(config: &Map<String, Value>, on: bool) -> Value {
    let key = if on { "on_value" } else { "off_value" };
    config
        .get(key)
        .cloned()
        .unwrap_or_else(|| Value::from(u8::from(on)))
}

fn picture(url: &Value) -> Result<(), ApiError> {
    // Only pictures that cannot run anything, and no plain http: the page that shows them is https.
    const DATA: [&str; 4] = [
        "data:image/png;",
        "data:image/jpeg;",
        "data:image/gif;",
        "data:image/webp;",
    ];
    let url = url.as_str().unwrap_or_default();
    let host = |rest: &str| !rest.is_empty() && !rest.starts_with('/');
    let clean = !url.chars().any(|c| c.is_control() || c.is_whitespace());
    let remote = url.len() <= 2048 && url.strip_prefix("https://").is_some_and(host);
    if clean && (remote || DATA.iter().any(|kind| url.starts_with(kind))) {
        return Ok(());
    }
    Err(wrong(
        "url",
        "must be an https address, or a PNG, JPEG, GIF or WebP picture as a data URL",
    ))
}

/// What a touch of the widget wants: the value for the device, and what the answer calls `state`.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    /// The value that the device should have.
    pub value: Value,
    /// 0 or 1 for switches, else the value.
    pub state: Value,
}

/// Turns what an app sends into the value that the device should have.
///
/// # Errors
/// 400 when the widget sets nothing, 422 when the value does not fit.
pub fn wanted(
    kind: Kind,
    config: &Map<String, Value>,
    input: Option<&Value>,
) -> Result<Wanted, ApiError> {
    let input = input.filter(|value| !value.is_null());
    let bad = |why: String| Err(ApiError::invalid(&["body", "state"], why));
    let same = |value: Value| {
        Ok(Wanted {
            state: value.clone(),
            value,
        })
    };
    match (kind, input) {
        (kind, _) if !kind.controls() => Err(ApiError::bad_request(
            "not_controllable",
            format!(
                "A widget of type {} only shows; it cannot be controlled.",
                kind.as_str()
            ),
        )),
        (Kind::Led | Kind::Switch, Some(input)) => match on_off(input) {
            Some(on) => Ok(Wanted {
                value: switch_value(config, on),
                state: Value::from(u8::from(on)),
            }),
            None => bad("must be 0, 1, true or false".to_owned()),
        },
        (Kind::Slider | Kind::Number, Some(input)) => {
            let Some(number) = input.as_f64() else {
                return bad("must be a number".to_owned());
            };
            let (min, max) = limits_of(kind, config)?;
            if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
                let show =
                    |limit: Option<f64>| limit.map_or_else(|| "any".to_owned(), |x| x.to_string());
                return bad(format!("must lie between {} and {}", show(min), show(max)));
            }
            same(input.clone())
        }
        (Kind::Text, Some(Value::String(text))) => {
            let max = config.get("max_length").and_then(Value::as_u64);
            let max = max.map_or(DEFAULT_TEXT, |n| usize::try_from(n).unwrap_or(DEFAULT_TEXT));
            if text.chars().count() > max {
                return bad(format!("may have at most {max} characters"));
            }
            same(Value::String(text.clone()))
        }
        (Kind::Text, Some(_)) => bad("must be a text".to_owned()),
        (Kind::Button, input) => {
            let value = config.get("value").or(input).cloned();
            match value.unwrap_or_else(|| Value::from(1)) {
                Value::Array(_) | Value::Object(_) => {
                    bad("must be a number, a boolean or a text".to_owned())
                }
                value => same(value),
            }
        }
        (_, None | Some(_)) => bad("is missing; send {\"state\": …}".to_owned()),
    }
}

fn on_off(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) => match text.as_str() {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        },
        Value::Number(n) => match n.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            _ => None,
        },
        _ => None,
    }
}
