//! Values derived from what a board measures: pure functions of numbers, computed when somebody asks.
//!
//! Nothing here is stored, and nothing is ever put into what a small device must parse unless it asks for it.

use serde_json::{Map, Value as Json, json};

/// The version of these algorithms on the wire.
pub const ALGORITHMS_VERSION: u32 = 2;

/// How many of the newest points of a key count as recent.
pub const RECENT_POINTS: usize = 32;

/// The weight of the newest point in the exponential moving average: about the last five points count.
const EMA_WEIGHT: f64 = 0.3;

/// Fewest earlier points from which a deviation is told; fewer say nothing about what is usual.
const MIN_EARLIER: usize = 5;

/// From how many standard deviations on a value counts as a spike.
const SPIKE: f64 = 3.0;

/// The names under which boards report air temperature in degrees Celsius.
const TEMPERATURE: [&str; 4] = ["temperature", "temp", "temperature_c", "temp_c"];

/// The names under which boards report relative humidity in percent.
const HUMIDITY: [&str; 4] = ["humidity", "rh", "relative_humidity", "humidity_pct"];

/// Derives everything from the recent numbers of each key, oldest first; keys without numbers are left out.
pub fn derive(recent: &[(String, Vec<f64>)]) -> Json {
    let mut per_key = Map::new();
    let mut thresholds = Map::new();
    for (key, numbers) in recent {
        let Some(ema) = ema(numbers) else { continue };
        let mut entry = Map::new();
        if let [.., before, last] = numbers[..] {
            entry.insert("delta".to_owned(), rounded(last - before));
        }
        entry.insert("ema".to_owned(), rounded(ema));
        if let Some(z) = z_score(numbers) {
            entry.insert("zscore_vs_recent".to_owned(), rounded(z));
            if z.abs() >= SPIKE {
                thresholds.insert(format!("{key}_statistical_spike"), rounded(z));
            }
        }
        per_key.insert(key.clone(), Json::Object(entry));
    }
    let mut derived = Map::new();
    derived.insert("algorithms_version".to_owned(), ALGORITHMS_VERSION.into());
    derived.insert("per_key".to_owned(), Json::Object(per_key));
    if let Some(air) = moist_air(recent) {
        derived.insert("moist_air".to_owned(), air);
    }
    derived.insert("thresholds".to_owned(), Json::Object(thresholds));
    Json::Object(derived)
}

fn moist_air(recent: &[(String, Vec<f64>)]) -> Option<Json> {
    let newest = |names: &[&'static str]| {
        names.iter().find_map(|name| {
            let (_, numbers) = recent.iter().find(|(key, _)| key == name)?;
            Some((*name, *numbers.last()?))
        })
    };
    let (temp_field, temperature) = newest(&TEMPERATURE)?;
    let (rh_field, humidity) = newest(&HUMIDITY)?;
    let mut air = json!({"temp_field": temp_field, "rh_field": rh_field});
    let fields = air.as_object_mut()?;
    if let Some(dew_point) = dew_point_c(temperature, humidity) {
        fields.insert("dew_point_c".to_owned(), rounded(dew_point));
    }
    if let Some(heat_index) = heat_index_c(temperature, humidity) {
        fields.insert("heat_index_c".to_owned(), rounded(heat_index));
    }
    Some(air)
}

/// Three decimals: more would only repeat the noise of a sensor.
fn rounded(number: f64) -> Json {
    super::values::number((number * 1000.0).round() / 1000.0)
}

/// The exponential moving average of numbers, oldest first.
pub fn ema(numbers: &[f64]) -> Option<f64> {
    numbers
        .iter()
        .copied()
        .reduce(|average, number| average + EMA_WEIGHT * (number - average))
        .filter(|average| average.is_finite())
}

/// By how many standard deviations the last number departs from those before it. Nothing when there are too few of
/// them, or when they are all the same: then any change would be infinitely unusual.
pub fn z_score(numbers: &[f64]) -> Option<f64> {
    let (last, earlier) = numbers.split_last()?;
    if earlier.len() < MIN_EARLIER {
        return None;
    }
    let count = earlier.len() as f64;
    let mean = earlier.iter().sum::<f64>() / count;
    let variance = earlier.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let deviation = variance.sqrt();
    // Below this the spread is the rounding of the sum, not of the sensor.
    let noise = mean.abs().max(1.0) * 1e-12;
    (deviation.is_finite() && deviation > noise).then(|| (last - mean) / deviation)
}

/// The dew point in °C of air at a temperature (°C) and relative humidity (%), by the Magnus formula with the
/// coefficients of Sonntag (1990), good from -45 to 60 °C; nothing outside.
pub fn dew_point_c(temperature: f64, humidity: f64) -> Option<f64> {
    const B: f64 = 17.62;
    const C: f64 = 243.12;
    if !(-45.0..=60.0).contains(&temperature) || humidity <= 0.0 || humidity > 100.0 {
        return None;
    }
    let gamma = (humidity / 100.0).ln() + B * temperature / (C + temperature);
    Some(C * gamma / (B - gamma))
}

/// The heat index in °C: how warm air at a temperature (°C) and relative humidity (%) feels in the shade, as the
/// National Weather Service of the United States computes it (Steadman's simple form below 80 °F, above it the
/// regression of Rothfusz with both adjustments). Nothing outside of -45 to 60 °C.
pub fn heat_index_c(temperature: f64, humidity: f64) -> Option<f64> {
    if !(-45.0..=60.0).contains(&temperature) || !(0.0..=100.0).contains(&humidity) {
        return None;
    }
    let (t, r) = (temperature * 1.8 + 32.0, humidity);
    let simple = 0.5 * (t + 61.0 + (t - 68.0) * 1.2 + r * 0.094);
    let mut index = (simple + t) / 2.0;
    if index >= 80.0 {
        index = -42.379 + 2.049_015_23 * t + 10.143_331_27 * r
            - 0.224_755_41 * t * r
            - 0.006_837_83 * t * t
            - 0.054_817_17 * r * r
            + 0.001_228_74 * t * t * r
            + 0.000_852_82 * t * r * r
            - 0.000_001_99 * t * t * r * r;
        if r < 13.0 && (80.0..=112.0).contains(&t) {
            index -= (13.0 - r) / 4.0 * ((17.0 - (t - 95.0).abs()) / 17.0).sqrt();
        } else if r > 85.0 && (80.0..=87.0).contains(&t) {
            index += (r - 85.0) / 10.0 * ((87.0 - t) / 5.0);
        }
    }
    Some((index - 32.0) / 1.8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, wanted: f64, tolerance: f64) {
        let found = found.expect("a value");
        assert!(
            (found - wanted).abs() <= tolerance,
            "{found} is not {wanted}"
        );
    }

    #[test]
    fn the_dew_point_agrees_with_psychrometric_tables() {
        close(dew_point_c(20.0, 50.0), 9.26, 0.05);
        close(dew_point_c(25.0, 60.0), 16.7, 0.05);
        close(dew_point_c(30.0, 100.0), 30.0, 1e-9);
        assert_eq!(dew_point_c(20.0, 0.0), None);
        assert_eq!(dew_point_c(80.0, 50.0), None);
    }

    #[test]
    fn the_heat_index_agrees_with_the_chart_of_the_weather_service() {
        let fahrenheit = |t: f64, r| heat_index_c((t - 32.0) / 1.8, r).map(|c| c * 1.8 + 32.0);
        close(fahrenheit(90.0, 70.0), 106.0, 0.5);
        close(fahrenheit(80.0, 40.0), 80.0, 0.5);
        close(fahrenheit(100.0, 55.0), 124.0, 0.5);
        close(fahrenheit(86.0, 90.0), 105.0, 0.5);
        close(heat_index_c(15.0, 50.0), 14.1, 0.5);
    }

    #[test]
    fn a_spike_is_what_departs_by_three_deviations() {
        let steady = [20.0, 20.1, 19.9, 20.0, 20.1, 19.9];
        let mut spiked = steady.to_vec();
        spiked.push(25.0);
        let derived = derive(&[("t".to_owned(), spiked), ("flat".to_owned(), vec![1.0; 9])]);
        assert!(derived["thresholds"]["t_statistical_spike"].as_f64() > Some(3.0));
        assert!(derived["per_key"]["flat"].get("zscore_vs_recent").is_none());
        assert_eq!(derived["per_key"]["flat"]["delta"], 0);
        assert_eq!(derived["algorithms_version"], 2);
        let calm = derive(&[("t".to_owned(), steady.to_vec())]);
        assert_eq!(calm["thresholds"], json!({}));
    }

    #[test]
    fn the_average_follows_the_newest_point() {
        assert_eq!(ema(&[]), None);
        assert_eq!(ema(&[4.0]), Some(4.0));
        close(ema(&[0.0, 10.0]), 3.0, 1e-12);
    }
}
