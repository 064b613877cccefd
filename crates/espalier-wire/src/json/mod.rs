//! A strict, bounded, zero-copy JSON reader and a small writer. Not a document model: values stay slices of the text.
//!
//! [`Json::parse`] checks a whole text once (grammar, depth, escapes, surrogate pairs); everything taken out of it
//! afterwards is known to be valid.

mod scan;
mod text;
mod write;

use core::fmt;

pub use scan::{JsonError, JsonFault};
pub use text::{Chars, Secret, Text};
pub use write::{ObjectWriter, Value, write_object};

use crate::limits::{MAX_EXACT_INTEGER, MAX_MESSAGE_DEPTH};

/// The six kinds of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number
    Number,
    /// A string
    Text,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

/// One valid JSON value as a slice of its text, without white space around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The empty object.
    pub const EMPTY_OBJECT: Json<'static> = Json("{}");
    /// The value `null`.
    pub const NULL: Json<'static> = Json("null");

    /// Checks a whole text and returns its one value.
    ///
    /// # Errors
    /// Says at which byte the text stops being JSON, or that it nests deeper than [`MAX_MESSAGE_DEPTH`].
    pub fn parse(text: &'a str) -> Result<Self, JsonError> {
        Self::parse_with_depth(text, MAX_MESSAGE_DEPTH)
    }

    /// Like [`Json::parse`] with a smaller bound on the depth.
    ///
    /// # Errors
    /// As [`Json::parse`].
    pub fn parse_with_depth(text: &'a str, max_depth: usize) -> Result<Self, JsonError> {
        let start = scan::skip_space(text, 0);
        let end = scan::skip_value(text, start, max_depth.min(MAX_MESSAGE_DEPTH))?;
        let rest = scan::skip_space(text, end);
        if rest != text.len() {
            return Err(JsonError {
                at: rest,
                fault: JsonFault::TrailingText,
            });
        }
        Ok(Json(&text[start..end]))
    }

    /// Returns the JSON text of the value.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the kind of the value.
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// Says whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Returns the boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Returns the number as a float, if it is one and finite.
    pub fn as_f64(self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.0.parse::<f64>().ok().filter(|x| x.is_finite())
    }

    /// Returns the number as an integer, if it is one; `5.0` and `1.7e12` count, as small devices print them so.
    pub fn as_i64(self) -> Option<i64> {
        if let Ok(whole) = self.0.parse::<i64>() {
            return Some(whole);
        }
        let float = self.as_f64()?;
        // Casting back and forth is exact inside the bound; outside it the float is no exact integer.
        let whole = float as i64;
        (whole.unsigned_abs() <= MAX_EXACT_INTEGER.unsigned_abs() && whole as f64 == float)
            .then_some(whole)
    }

    /// Returns the number as an unsigned integer, if it is one.
    pub fn as_u64(self) -> Option<u64> {
        self.as_i64().and_then(|x| u64::try_from(x).ok())
    }

    /// Returns the string, if it is one.
    pub fn as_text(self) -> Option<Text<'a>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(Text::from_escaped(inner))
    }

    /// Returns the members of an object in their order, repeated names included.
    pub fn members(self) -> Option<Members<'a>> {
        self.0.strip_prefix('{').map(|_| Members {
            text: self.0,
            at: 1,
        })
    }

    /// Returns the elements of an array.
    pub fn elements(self) -> Option<Elements<'a>> {
        self.0.strip_prefix('[').map(|_| Elements {
            text: self.0,
            at: 1,
        })
    }

    /// Returns the nesting depth: 0 for a plain value, 1 for `{}`.
    pub fn depth(self) -> usize {
        scan::depth(self.0)
    }
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The members of an object, from [`Json::members`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        // The text was checked when the `Json` was made, so each step either succeeds or is at the end.
        let name_at = scan::next_item(self.text, self.at, b'}')?;
        let name_end = scan::skip_string(self.text, name_at).ok()?;
        let colon = scan::skip_space(self.text, name_end);
        let value_at = scan::skip_space(self.text, colon + 1);
        let value_end = scan::skip_value(self.text, value_at, MAX_MESSAGE_DEPTH).ok()?;
        self.at = value_end;
        Some((
            Text::from_escaped(&self.text[name_at + 1..name_end - 1]),
            Json(&self.text[value_at..value_end]),
        ))
    }
}

/// The elements of an array, from [`Json::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = scan::next_item(self.text, self.at, b']')?;
        let end = scan::skip_value(self.text, start, MAX_MESSAGE_DEPTH).ok()?;
        self.at = end;
        Some(Json(&self.text[start..end]))
    }
}
