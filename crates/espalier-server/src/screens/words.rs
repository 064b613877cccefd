//! Keys and values of telemetry in words for people: what to call them, in which unit, with how many digits.

use serde_json::Value;

/// Words of keys with their unit and their place in the order in which a dashboard shows them by itself.
const KNOWN: &[(&str, &str)] = &[
    ("temperature", "°C"),
    ("temp", "°C"),
    ("humidity", "%"),
    ("hum", "%"),
    ("pressure", "hPa"),
    ("co2", "ppm"),
    ("pm25", "µg/m³"),
    ("pm10", "µg/m³"),
    ("moisture", "%"),
    ("illuminance", "lx"),
    ("lux", "lx"),
    ("light", "lx"),
    ("noise", "dB"),
    ("power", "W"),
    ("energy", "kWh"),
    ("voltage", "V"),
    ("current", "A"),
    ("battery", "%"),
];

/// Vital signs: shown by themselves only when there is nothing else.
const VITAL: &[(&str, &str)] = &[
    ("rssi", "dBm"),
    ("signal", "dBm"),
    ("heap", "B"),
    ("uptime", "s"),
    ("version", ""),
];

/// The words of a key: `outside.tempIn_2` has `outside`, `temp`, `in` and `2`.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for letter in key.chars() {
        if !letter.is_alphanumeric() {
            words.push(String::new());
        } else {
            if small && letter.is_uppercase() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        }
        small = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What to call a key.
pub fn label(key: &str) -> String {
    let text = words(key).join(" ");
    let text = match text.as_str() {
        "co2" => return "CO₂".to_owned(),
        "rssi" | "wifi rssi" => return "Wi-Fi signal".to_owned(),
        "" => key.to_owned(),
        _ => text,
    };
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// The usual unit of a key; nothing when none is known.
pub fn unit(key: &str) -> &'static str {
    let words = words(key);
    let found = KNOWN
        .iter()
        .chain(VITAL)
        .find(|(name, _)| words.iter().any(|word| word == name));
    found.map_or("", |(_, unit)| unit)
}

/// Where a key comes in the order of a dashboard that nobody arranged.
pub fn rank(key: &str) -> usize {
    let words = words(key);
    let place = |list: &[(&str, &str)]| {
        list.iter()
            .position(|(name, _)| words.iter().any(|word| word == name))
    };
    if key.starts_with('_') {
        return usize::MAX;
    }
    match (place(VITAL), place(KNOWN)) {
        (Some(at), _) => 200 + at,
        (None, Some(at)) => at,
        (None, None) => 100,
    }
}

/// A value as people read it.
pub fn value(value: &Value, decimals: Option<u8>) -> String {
    match value {
        Value::Number(number) => number
            .as_f64()
            .map_or_else(String::new, |n| self::number(n, decimals)),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::String(text) => text.lines().next().unwrap_or_default().trim().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A number with as many digits as it needs: at most one after the point from 10, two below, none from 10,000.
pub fn number(number: f64, decimals: Option<u8>) -> String {
    let digits = match decimals {
        Some(digits) => usize::from(digits.min(6)),
        None if number.fract() == 0.0 || number.abs() >= 9_999.5 => 0,
        None if number.abs() >= 9.95 => 1,
        None => 2,
    };
    let text = format!("{number:.digits$}");
    match text.strip_prefix('-') {
        // What rounds to nothing has no sign.
        Some(positive) if positive.chars().all(|c| matches!(c, '0' | '.')) => positive.to_owned(),
        Some(positive) => format!("−{positive}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_become_words_with_their_unit() {
        for (key, name, of) in [
            ("temperature", "Temperature", "°C"),
            ("outside.temp", "Outside temp", "°C"),
            ("soilMoisture", "Soil moisture", "%"),
            ("free_heap", "Free heap", "B"),
            ("wifi_rssi", "Wi-Fi signal", "dBm"),
            ("v1", "V1", ""),
            ("attempt", "Attempt", ""),
        ] {
            assert_eq!((label(key).as_str(), unit(key)), (name, of), "{key}");
        }
        assert!(rank("humidity") < rank("v1") && rank("v1") < rank("wifi_rssi"));
    }

    #[test]
    fn values_have_as_many_digits_as_they_need() {
        for (given, decimals, shown) in [
            (json!(21.4321), None, "21.4"),
            (json!(1013.25), None, "1013.2"),
            (json!(3.14159), None, "3.14"),
            (json!(-61), None, "−61"),
            (json!(-0.001), None, "0.00"),
            (json!(12480.7), None, "12481"),
            (json!(5), Some(2), "5.00"),
            (json!(true), None, "on"),
            (json!(" open \nx"), None, "open"),
        ] {
            assert_eq!(value(&given, decimals), shown);
        }
    }
}
