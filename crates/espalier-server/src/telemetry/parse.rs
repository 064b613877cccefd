//! From bytes to checked values in one pass: the strict reader of telemetry bodies.
//!
//! It builds no document tree: names stay slices of the body and numbers become floats where they stand, because
//! this is what every post of every device passes. It knows neither device nor clock; whether a time is believable
//! and which series a name is are decided in `ingest.rs`. What it accepts is a subset of JSON: values are finite
//! numbers (integers up to 2^53), booleans, short texts and small objects or arrays.

use crate::control::depth;
use espalier_tsdb::Value;
use espalier_wire::limits::{
    MAX_EXACT_INTEGER, MAX_KEYS_PER_SAMPLE, MAX_MESSAGE_DEPTH, MAX_OBJECT_VALUE_BYTES,
    MAX_POINTS_PER_BATCH, MAX_TEXT_VALUE_BYTES, MAX_VALUE_DEPTH, check_key,
};
use serde::de::IgnoredAny;
use std::borrow::Cow;

use super::refusal::{Reason, Refusal, shorten};

/// A telemetry body: who sends it, and what was measured.
pub struct Post<'a> {
    /// The device token, unless a header carries it. Never shown: this type has no `Debug`.
    pub token: Option<Cow<'a, str>>,
    /// The JSON text of `reported`, as in the frame of the device socket.
    pub reported: Option<&'a str>,
    /// The values.
    pub readings: Readings<'a>,
}

/// Values of one or several moments, each checked by itself.
#[derive(Debug, Default)]
pub struct Readings<'a> {
    /// Per sample its time (milliseconds UTC, as the device gave it) and the end of its values in `values`.
    pub(super) samples: Vec<(Option<i64>, usize)>,
    pub(super) values: Vec<(Cow<'a, str>, Value)>,
    /// Whether the body was a batch; decides how a place is named.
    pub(super) batch: bool,
}

impl Readings<'_> {
    /// The number of values.
    pub fn points(&self) -> usize {
        self.values.len()
    }

    /// Whether they came as `samples`.
    pub fn is_batch(&self) -> bool {
        self.batch
    }

    /// The samples in order: the time that the device gave, milliseconds UTC, and the keys and values.
    pub fn samples(&self) -> impl Iterator<Item = (Option<i64>, &[(Cow<'_, str>, Value)])> {
        let mut from = 0;
        self.samples.iter().map(move |(ts, end)| {
            let start = std::mem::replace(&mut from, *end);
            (*ts, &self.values[start..*end])
        })
    }

    /// The place of a sample, or of a value in it, for an error.
    pub(super) fn place(&self, sample: usize, field: &str, key: Option<&str>) -> Vec<String> {
        place(self.batch.then_some(sample), field, key)
    }
}

pub(super) fn place(sample: Option<usize>, field: &str, key: Option<&str>) -> Vec<String> {
    let mut loc = vec!["body".to_owned()];
    if let Some(sample) = sample {
        loc.extend(["samples".to_owned(), sample.to_string()]);
    }
    loc.push(field.to_owned());
    loc.extend(key.map(shorten));
    loc
}

/// Reads a telemetry body: `{"device_token","data":{…}}` with an optional `ts`, or `{"device_token","samples":[…]}`.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse_post(body: &[u8]) -> Result<Post<'_>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Refusal::body(format!("not UTF-8 at byte {at}"))
    })?;
    let mut reader = Reader { text, at: 0 };
    let post = reader.post()?;
    reader.space();
    if reader.at != text.len() {
        return Err(reader.fault("text follows the object"));
    }
    Ok(post)
}

/// Reads the samples of a device frame, whose JSON was already checked as such.
///
/// # Errors
/// The first value that breaks a limit, with its place.
pub fn parse_wire<'a>(
    telemetry: espalier_wire::device::Telemetry<'a>,
) -> Result<Readings<'a>, Refusal> {
    let mut readings = Readings {
        batch: matches!(telemetry, espalier_wire::device::Telemetry::Batch(_)),
        ..Readings::default()
    };
    for sample in telemetry.samples() {
        let mut reader = Reader {
            text: sample.data.as_str(),
            at: 0,
        };
        reader.data(&mut readings)?;
        readings.samples.push((sample.ts, readings.values.len()));
    }
    Ok(readings)
}

/// Checks a value that is already a JSON document, as other transports deliver it.
///
/// # Errors
/// Says why it is not a telemetry value.
pub(super) fn check_value(value: &serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    match value {
        Json::Null => Err(NULL.to_owned()),
        Json::Bool(flag) => Ok(Value::Bool(*flag)),
        Json::Number(number) => {
            let beyond = number
                .as_i64()
                .map(i64::unsigned_abs)
                .or(number.as_u64())
                .is_some_and(|whole| whole > MAX_EXACT_INTEGER.unsigned_abs());
            match number.as_f64() {
                Some(float) if float.is_finite() && !beyond => Ok(Value::Number(float)),
                _ => Err(INEXACT.to_owned()),
            }
        }
        Json::String(text) => check_text(text),
        Json::Array(_) | Json::Object(_) => check_json(&value.to_string()),
    }
}

/// Checks a key: its characters, its length, and that it is not one of the server's own.
pub(super) fn check_name(key: &str) -> Result<(), String> {
    if key.starts_with('_') {
        return Err("keys that begin with _ belong to the server; choose another name".to_owned());
    }
    check_key(key).map_err(|error| error.to_string())
}

const NULL: &str = "null is not a value; leave the key out when there is nothing to report";
pub(super) const INEXACT: &str =
    "an integer beyond 2^53 or a number that is not finite cannot be kept exactly; send it as text";

pub(super) fn check_text(text: &str) -> Result<Value, String> {
    if text.len() > MAX_TEXT_VALUE_BYTES {
        return Err(format!(
            "a text may have at most {MAX_TEXT_VALUE_BYTES} bytes, this one has {}",
            text.len()
        ));
    }
    if text.contains('\0') {
        return Err("a text must not hold the character NUL".to_owned());
    }
    Ok(Value::Text(text.into()))
}

/// Checks an object or array and brings it into its canonical form, without white space.
pub(super) fn check_json(text: &str) -> Result<Value, String> {
    let too_long = |bytes: usize| {
        format!(
            "an object or array may have at most {MAX_OBJECT_VALUE_BYTES} bytes of JSON, this one has {bytes}"
        )
    };
    if text.len() > MAX_OBJECT_VALUE_BYTES {
        return Err(too_long(text.len()));
    }
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))?;
    if !is_exact(&value) {
        return Err(INEXACT.to_owned());
    }
    if depth(&value) > MAX_VALUE_DEPTH {
        return Err(format!(
            "an object or array may nest at most {MAX_VALUE_DEPTH} levels deep"
        ));
    }
    // `1e15` is written as `1000000000000000.0`: what is kept must itself be a value that could be sent.
    let canonical = value.to_string();
    if canonical.len() > MAX_OBJECT_VALUE_BYTES {
        return Err(too_long(canonical.len()));
    }
    Ok(Value::Json(canonical.into()))
}

fn is_exact(value: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match value {
        Json::Number(_) => check_value(value).is_ok(),
        Json::Array(items) => items.iter().all(is_exact),
        Json::Object(map) => map.values().all(is_exact),
        _ => true,
    }
}

/// A position in a text that is UTF-8 but not yet known to be JSON.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fault(&self, what: &str) -> Refusal {
        Refusal::body(format!("not valid JSON at byte {}: {what}", self.at))
    }

    /// Moves over `wanted`, white space around it included.
    fn token(&mut self, wanted: u8, what: &str) -> Result<(), Refusal> {
        self.space();
        if self.peek() != Some(wanted) {
            return Err(self.fault(what));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// After an item of a container: whether another one follows.
    fn more(&mut self, close: u8) -> Result<bool, Refusal> {
        self.space();
        let next = self.peek();
        if next != Some(b',') && next != Some(close) {
            return Err(self.fault("a comma or the closing bracket is missing"));
        }
        self.at += 1;
        self.space();
        Ok(next == Some(b','))
    }

    /// Opens a container and tells whether it has items.
    fn open(&mut self, open: u8, close: u8, what: &str) -> Result<bool, Refusal> {
        self.token(open, what)?;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    fn post(&mut self) -> Result<Post<'a>, Refusal> {
        let (mut token, mut reported, mut ts) = (None, None, None);
        let mut readings = Readings::default();
        let mut seen = [false; 5];
        let mut more = self.open(b'{', b'}', "the body must be an object")?;
        while more {
            let name = self.name()?;
            let known = ["device_token", "data", "samples", "ts", "reported"]
                .iter()
                .position(|known| *known == name);
            if let Some(known) = known
                && std::mem::replace(&mut seen[known], true)
            {
                return Err(Refusal::at(place(None, &name, None), "it stands twice"));
            }
            match known {
                _ if self.null() => {
                    // As clients with optional fields write what they do not have.
                    if let Some(known) = known {
                        seen[known] = false;
                    }
                }
                Some(0) => token = Some(self.text_field("device_token")?),
                Some(1) => {
                    self.data(&mut readings)?;
                    readings.samples.push((None, readings.values.len()));
                }
                Some(2) => {
                    readings.batch = true;
                    self.samples(&mut readings)?;
                }
                Some(3) => ts = Some(self.time(place(None, "ts", None))?),
                Some(_) => reported = Some(self.raw(MAX_MESSAGE_DEPTH)?),
                None => drop(self.raw(MAX_MESSAGE_DEPTH)?),
            }
            more = self.more(b'}')?;
        }
        match (seen[1], seen[2], readings.samples.first_mut()) {
            (true, true, _) => {
                return Err(Refusal::body("send either data or samples, not both"));
            }
            (true, false, Some(sample)) => sample.0 = ts,
            (false, true, _) if ts.is_some() => {
                return Err(Refusal::at(
                    place(None, "ts", None),
                    "with samples, each sample has its own ts",
                ));
            }
            (false, false, _) if reported.is_none() => {
                return Err(Refusal::at(
                    place(None, "data", None),
                    "field required: an object of keys and values",
                ));
            }
            _ => {}
        }
        Ok(Post {
            token,
            reported,
            readings,
        })
    }

    fn samples(&mut self, readings: &mut Readings<'a>) -> Result<(), Refusal> {
        let mut more = self.open(b'[', b']', "samples must be an array")?;
        while more {
            let index = readings.samples.len();
            let (mut ts, mut data) = (None, false);
            let mut inside = self.open(b'{', b'}', "a sample must be an object")?;
            while inside {
                let name = self.name()?;
                let at = |field| place(Some(index), field, None);
                match &*name {
                    "ts" if ts.is_some() => return Err(Refusal::at(at("ts"), "it stands twice")),
                    "data" if data => return Err(Refusal::at(at("data"), "it stands twice")),
                    "ts" if self.null() => {}
                    "ts" => ts = Some(self.time(at("ts"))?),
                    "data" => {
                        self.data(readings)?;
                        data = true;
                    }
                    _ => drop(self.raw(MAX_MESSAGE_DEPTH)?),
                }
                inside = self.more(b'}')?;
            }
            if !data {
                let what = "field required: an object of keys and values";
                return Err(Refusal::at(place(Some(index), "data", None), what));
            }
            readings.samples.push((ts, readings.values.len()));
            more = self.more(b']')?;
        }
        Ok(())
    }

    /// Reads the keys and values of one sample.
    fn data(&mut self, readings: &mut Readings<'a>) -> Result<(), Refusal> {
        let sample = readings.batch.then_some(readings.samples.len());
        let start = readings.values.len();
        self.space();
        if self.peek() != Some(b'{') {
            return Err(Refusal::at(
                place(sample, "data", None),
                "must be an object of keys and values",
            ));
        }
        let mut more = self.open(b'{', b'}', "an object is missing")?;
        while more {
            let key = self.name()?;
            if let Err(what) = check_name(&key) {
                return Err(Refusal::at(place(sample, "data", Some(&key)), what));
            }
            let value = self
                .value()
                .map_err(|refusal| refusal.inside(|| place(sample, "data", Some(&key))))?;
            readings.values.push((key, value));
            if readings.values.len() - start > MAX_KEYS_PER_SAMPLE {
                return Err(Refusal::at(
                    place(sample, "data", None),
                    format!("one sample may have at most {MAX_KEYS_PER_SAMPLE} keys"),
                ));
            }
            if readings.values.len() > MAX_POINTS_PER_BATCH {
                return Err(Refusal::new(
                    Reason::TooLarge,
                    place(None, "samples", None),
                    format!(
                        "one batch may have at most {MAX_POINTS_PER_BATCH} values; send several"
                    ),
                ));
            }
            more = self.more(b'}')?;
        }
        Ok(())
    }

    /// Reads the name of a member and the colon behind it.
    fn name(&mut self) -> Result<Cow<'a, str>, Refusal> {
        let name = self.string("a quoted name is missing")?;
        self.token(b':', "a colon is missing")?;
        Ok(name)
    }

    fn value(&mut self) -> Result<Value, Refusal> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b'"') => {
                let text = self.string("a text is missing")?;
                check_text(&text).map_err(Refusal::value)
            }
            Some(b't') => self.word("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Value::Bool(false)),
            Some(b'n') => {
                self.word("null")?;
                Err(Refusal::value(NULL))
            }
            Some(b'{' | b'[') => {
                let text = self.raw(MAX_VALUE_DEPTH)?;
                check_json(text).map_err(Refusal::value)
            }
            _ => Err(self.fault("a value is missing")),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Refusal> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("a value is missing"));
        }
        self.at += word.len();
        Ok(())
    }

    fn null(&mut self) -> bool {
        self.word("null").is_ok()
    }

    fn text_field(&mut self, name: &str) -> Result<Cow<'a, str>, Refusal> {
        if self.peek() != Some(b'"') {
            return Err(Refusal::at(place(None, name, None), "must be a string"));
        }
        self.string("a text is missing")
    }

    fn time(&mut self, loc: Vec<String>) -> Result<i64, Refusal> {
        let wanted = "must be a whole number of milliseconds since 1970-01-01T00:00:00Z";
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(Refusal::at(loc, wanted));
        }
        let float = match self.number() {
            Ok(float) => float,
            Err(refusal) => return Err(refusal.inside(|| loc)),
        };
        // Inside 2^53 the cast is exact; small devices print 1.7e12 and 5.0, which are whole numbers too.
        if float.fract() != 0.0 || float.abs() > MAX_EXACT_INTEGER as f64 {
            return Err(Refusal::at(loc, wanted));
        }
        Ok(float as i64)
    }

    /// Reads a string; only one with escapes is copied.
    fn string(&mut self, missing: &str) -> Result<Cow<'a, str>, Refusal> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(missing));
        }
        let open = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..=0x1f) => return Err(self.fault("a control character stands in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.fault("the text ends inside a string")),
            }
        }
        self.at += 1;
        if escaped {
            // An escape may have jumped into a character, but never over the closing quote of valid JSON.
            let quoted = self.text.get(open..self.at);
            let plain = quoted.and_then(|quoted| serde_json::from_str::<String>(quoted).ok());
            return match plain {
                Some(plain) => Ok(Cow::Owned(plain)),
                None => Err(self.fault("a string holds an invalid escape")),
            };
        }
        Ok(Cow::Borrowed(&self.text[open + 1..self.at - 1]))
    }

    /// Reads a number, correctly rounded. Integers that a float cannot hold exactly are refused.
    fn number(&mut self) -> Result<f64, Refusal> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let negative = bytes[start] == b'-';
        let mut at = start + usize::from(negative);
        let digits = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            from + rest.iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let whole_end = digits(at);
        let leading_zero = bytes.get(at) == Some(&b'0') && whole_end > at + 1;
        let mut valid = whole_end > at && !leading_zero;
        let (whole, mut fraction) = (&self.text[at..whole_end], "");
        at = whole_end;
        let mut is_integer = true;
        if bytes.get(at) == Some(&b'.') {
            let end = digits(at + 1);
            valid &= end > at + 1;
            fraction = &self.text[at + 1..end];
            (at, is_integer) = (end, false);
        }
        let mantissa_end = at;
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(at);
            valid &= end > at;
            (at, is_integer) = (end, false);
        }
        if !valid {
            return Err(self.fault("a number is malformed"));
        }
        self.at = at;
        let fast = (mantissa_end == at)
            .then(|| exact_decimal(whole, fraction))
            .flatten()
            .map(|float| if negative { -float } else { float });
        let float = match fast {
            Some(float) => float,
            None if is_integer => return Err(Refusal::value(INEXACT)),
            None => self.text[start..at].parse().unwrap_or(f64::NAN),
        };
        if float.is_finite() {
            Ok(float)
        } else {
            Err(Refusal::value(INEXACT))
        }
    }

    /// Moves over a value of any kind and returns its text; it is valid JSON and nests at most `levels` deep.
    fn raw(&mut self, levels: usize) -> Result<&'a str, Refusal> {
        let start = self.at;
        let mut open = 0_usize;
        loop {
            match self.peek() {
                None => return Err(self.fault("the text ends inside a value")),
                Some(b'"') => drop(self.string("")?),
                Some(b'{' | b'[') => {
                    open += 1;
                    self.at += 1;
                    if open > levels {
                        return Err(Refusal::value(format!(
                            "objects and arrays may nest at most {levels} levels deep here"
                        )));
                    }
                }
                Some(b'}' | b']') if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                Some(b',' | b'}' | b']') if open == 0 => break,
                Some(b' ' | b'\t' | b'\n' | b'\r') if open == 0 => break,
                Some(_) => self.at += 1,
            }
            if open == 0 && matches!(self.text.as_bytes()[self.at - 1], b'"' | b'}' | b']') {
                break;
            }
        }
        let text = &self.text[start..self.at];
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(IgnoredAny) => Ok(text),
            Err(error) => {
                self.at = start;
                Err(self.fault(&format!("a value is malformed ({error})")))
            }
        }
    }
}

/// The value of a decimal with few digits, exactly rounded: both numbers are exact floats, so one division is.
fn exact_decimal(whole: &str, fraction: &str) -> Option<f64> {
    const POWERS: [f64; 16] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ];
    // 16 digits fit an u64 with room to spare; whether the value fits a float is asked below.
    if whole.len() + fraction.len() > 16 {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes());
    let mantissa = digits.fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let power = POWERS.get(fraction.len())?;
    (mantissa <= MAX_EXACT_INTEGER.unsigned_abs()).then(|| mantissa as f64 / power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(body: &str) -> Result<Vec<(String, Value)>, Refusal> {
        let post = parse_post(body.as_bytes())?;
        let values = post.readings.values.into_iter();
        Ok(values
            .map(|(key, value)| (key.into_owned(), value))
            .collect())
    }

    fn one(value: &str) -> Option<Value> {
        let body = format!("{{\"data\":{{\"k\":{value}}}}}");
        Some(values(&body).ok()?.pop()?.1)
    }

    #[test]
    fn numbers_are_rounded_as_the_language_rounds_them() {
        for text in [
            "0",
            "-0",
            "1",
            "-1",
            "0.1",
            "21.37",
            "1013.25",
            "1e3",
            "1E-7",
            "-2.5e+10",
            "9007199254740992",
            "-9007199254740992",
            "0.30000000000000004",
            "123456789.123456789",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "9007199254740993.5",
            "0.000000000000001",
            "8.41e21",
        ] {
            let wanted: f64 = text.parse().expect("a number");
            let Some(Value::Number(found)) = one(text) else {
                panic!("{text} is refused");
            };
            assert_eq!(found.to_bits(), wanted.to_bits(), "{text}");
        }
        for text in [
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+",
            "-",
            "0x1",
            "1_0",
            "1e999",
            "9007199254740993",
        ] {
            assert_eq!(one(text), None, "{text}");
        }
    }

    #[test]
    fn escapes_are_decoded_and_objects_lose_their_white_space() {
        assert_eq!(
            one(r#""a\n\u00e4\ud83d\ude00""#),
            Some(Value::Text("a\nä😀".into()))
        );
        assert_eq!(
            one(r#"{ "a" : [ 1 , 2.50 ] }"#),
            Some(Value::Json(r#"{"a":[1,2.5]}"#.into()))
        );
        assert_eq!(one(r#""\ud83d""#), None);
        assert_eq!(one(r#""\x""#), None);
        let escaped = values(r#"{"data":{"\u0061b":1}}"#).expect("values");
        assert_eq!(escaped[0].0, "ab");
    }

    #[test]
    fn what_is_kept_of_an_object_is_within_the_limit_too() {
        let numbers = |count: usize| format!("[{}]", vec!["1e15"; count].join(","));
        assert!(one(&numbers(200)).is_some());
        assert_eq!(one(&numbers(400)), None, "short as sent, long as kept");
    }

    #[test]
    fn numbers_inside_an_object_are_kept_exactly() {
        for number in [
            "1.1111111111111113e+60",
            "0.30000000000000004",
            "2.2250738585072014e-308",
        ] {
            let Some(Value::Json(kept)) = one(&format!("[{number}]")) else {
                panic!("{number} is refused");
            };
            let found: f64 = kept[1..kept.len() - 1].parse().expect("a number");
            assert_eq!(Ok(found), number.parse(), "{kept}");
            assert_eq!(
                one(&kept),
                Some(Value::Json(kept)),
                "kept again, it is the same"
            );
        }
    }

    #[test]
    fn unknown_fields_and_absent_optional_ones_are_left_alone() {
        let body = r#" { "x" : [ {"y":"}"} ] , "ts":null, "samples":null, "data" : { "a" : 1 } , "device_token":null } "#;
        assert_eq!(values(body).expect("values").len(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_post(&bytes);
        }

        #[test]
        fn no_nearly_right_body_brings_it_down(text in "[{}\\[\\]\",:\\\\a-u0-9.eE+ -]{0,60}") {
            let _ = parse_post(format!("{{\"data\":{{{text}").as_bytes());
            let _ = parse_post(text.as_bytes());
        }

        #[test]
        fn what_is_written_is_read(numbers in prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9_.:/ -]{0,20}", proptest::num::f64::NORMAL, 0..30)) {
            let data: serde_json::Map<_, _> = numbers
                .iter()
                .map(|(key, number)| (key.clone(), serde_json::Value::from(*number)))
                .collect();
            let body = serde_json::json!({"device_token": "t", "data": data}).to_string();
            let read = values(&body).expect("values");
            prop_assert_eq!(read.len(), numbers.len());
            for (key, value) in read {
                prop_assert_eq!(value, Value::Number(numbers[&key]));
            }
        }

        #[test]
        fn it_takes_no_body_that_a_document_parser_refuses(text in "[\\[\\]{}\",:0-9a\\\\. -]{0,30}") {
            let body = format!("{{\"x\":{text},\"data\":{{}}}}");
            if parse_post(body.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{}", body);
            }
        }
    }
}
