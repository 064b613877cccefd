//! Writing JSON into any `fmt::Write`, so that a chip can fill a fixed buffer and the server a `String`.

use core::fmt::{self, Write};

use super::{Json, Text};

/// A value to write: what a sensor measures or a switch takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A boolean.
    Bool(bool),
    /// An integer, exact up to 2^53 on the other side.
    Int(i64),
    /// A finite number; writing any other fails.
    Float(f64),
    /// A text.
    Text(Text<'a>),
    /// A value that is JSON already.
    Json(Json<'a>),
}

impl Value<'_> {
    /// Writes the value as JSON.
    ///
    /// # Errors
    /// Fails when the output is full, or when a float is not finite.
    pub fn write_json(self, out: &mut impl Write) -> fmt::Result {
        match self {
            Value::Bool(b) => out.write_str(if b { "true" } else { "false" }),
            Value::Int(i) => write!(out, "{i}"),
            Value::Float(x) if x.is_finite() => write!(out, "{x}"),
            Value::Float(_) => Err(fmt::Error),
            Value::Text(t) => t.write_json(out),
            Value::Json(j) => out.write_str(j.as_str()),
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<i64> for Value<'_> {
    fn from(i: i64) -> Self {
        Value::Int(i)
    }
}

impl From<f64> for Value<'_> {
    fn from(x: f64) -> Self {
        Value::Float(x)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Text::new(text))
    }
}

impl<'a> From<Text<'a>> for Value<'a> {
    fn from(text: Text<'a>) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<Json<'a>> for Value<'a> {
    fn from(json: Json<'a>) -> Self {
        Value::Json(json)
    }
}

/// Writes the members of one JSON object.
#[derive(Debug)]
pub struct ObjectWriter<'w, W: Write> {
    out: &'w mut W,
    empty: bool,
}

impl<'w, W: Write> ObjectWriter<'w, W> {
    /// Opens an object.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn begin(out: &'w mut W) -> Result<Self, fmt::Error> {
        out.write_char('{')?;
        Ok(ObjectWriter { out, empty: true })
    }

    /// Opens a message: an object whose first member is its `type`.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn message(out: &'w mut W, kind: &str) -> Result<Self, fmt::Error> {
        let mut object = Self::begin(out)?;
        object.member("type", kind)?;
        Ok(object)
    }

    /// Writes one member.
    ///
    /// # Errors
    /// Fails when the output is full, or when a float is not finite.
    pub fn member<'v>(&mut self, name: &str, value: impl Into<Value<'v>>) -> fmt::Result {
        value.into().write_json(self.value_of(name)?)
    }

    /// Writes one unsigned member.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn number(&mut self, name: &str, value: u64) -> fmt::Result {
        write!(self.value_of(name)?, "{value}")
    }

    /// Writes a member only when it is there.
    ///
    /// # Errors
    /// As [`ObjectWriter::member`].
    pub fn optional<'v>(&mut self, name: &str, value: Option<impl Into<Value<'v>>>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.member(name, value))
    }

    /// Writes the name of a member and returns the output for its value.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn value_of(&mut self, name: &str) -> Result<&mut W, fmt::Error> {
        if !core::mem::take(&mut self.empty) {
            self.out.write_char(',')?;
        }
        Text::new(name).write_json(self.out)?;
        self.out.write_char(':')?;
        Ok(self.out)
    }

    /// Closes the object.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn end(self) -> fmt::Result {
        self.out.write_char('}')
    }
}

/// Writes a whole object from pairs, for example the `data` of a sample.
///
/// # Errors
/// Fails when the output is full, or when a float is not finite.
pub fn write_object<'v>(
    out: &mut impl Write,
    pairs: impl IntoIterator<Item = (&'v str, Value<'v>)>,
) -> fmt::Result {
    let mut object = ObjectWriter::begin(out)?;
    for (name, value) in pairs {
        object.member(name, value)?;
    }
    object.end()
}
