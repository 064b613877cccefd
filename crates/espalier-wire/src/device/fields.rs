//! Taking named fields out of a message: one pass, unknown fields ignored, repeated fields refused.

use core::fmt;

use crate::json::{Json, JsonError, Text};

/// What a field should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An object.
    Object,
    /// An array.
    Array,
    /// A string.
    Text,
    /// A boolean.
    Bool,
    /// A whole number in the range of the field.
    Integer,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Object => "an object",
            Expected::Array => "an array",
            Expected::Text => "a string",
            Expected::Bool => "true or false",
            Expected::Integer => "a whole number in range",
        })
    }
}

/// Why a text is not a message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The text is not JSON.
    Json(JsonError),
    /// The text is JSON but no object.
    NotAnObject,
    /// A field that the message needs is absent.
    Missing(&'static str),
    /// A field has the wrong type or is out of range.
    Wrong(&'static str, Expected),
    /// A field stands twice in one object.
    Repeated(&'static str),
    /// The `type` is not known in this direction.
    UnknownType,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Json(e) => e.fmt(f),
            WireError::NotAnObject => f.write_str("a message must be a JSON object"),
            WireError::Missing(name) => write!(f, "the field \"{name}\" is missing"),
            WireError::Wrong(name, expected) => {
                write!(f, "the field \"{name}\" must be {expected}")
            }
            WireError::Repeated(name) => write!(f, "the field \"{name}\" stands twice"),
            WireError::UnknownType => f.write_str("the message has an unknown \"type\""),
        }
    }
}

impl core::error::Error for WireError {}

impl From<JsonError> for WireError {
    fn from(error: JsonError) -> Self {
        WireError::Json(error)
    }
}

/// Takes the named fields out of an object in one pass; `null` counts as absent.
pub(crate) fn pick<'a, const N: usize>(
    object: Json<'a>,
    names: [&'static str; N],
) -> Result<Fields<'a, N>, WireError> {
    let mut values = [None; N];
    for (name, value) in object.members().ok_or(WireError::NotAnObject)? {
        if let Some(slot) = names.iter().position(|n| name == **n) {
            if values[slot].is_some() {
                return Err(WireError::Repeated(names[slot]));
            }
            values[slot] = Some(value);
        }
    }
    Ok(Fields { names, values })
}

/// The picked fields, addressed by their position in the list of names.
pub(crate) struct Fields<'a, const N: usize> {
    names: [&'static str; N],
    values: [Option<Json<'a>>; N],
}

impl<'a, const N: usize> Fields<'a, N> {
    /// The field as it stands, `null` included: a value may be `null`.
    pub(crate) fn raw(&self, i: usize) -> Option<Json<'a>> {
        self.values[i]
    }

    fn present(&self, i: usize) -> Option<Json<'a>> {
        self.values[i].filter(|v| !v.is_null())
    }

    fn optional<T>(
        &self,
        i: usize,
        expected: Expected,
        read: impl FnOnce(Json<'a>) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        match self.present(i) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or(WireError::Wrong(self.names[i], expected)),
        }
    }

    fn required<T>(&self, i: usize, value: Option<T>) -> Result<T, WireError> {
        value.ok_or(WireError::Missing(self.names[i]))
    }

    pub(crate) fn text(&self, i: usize) -> Result<Option<Text<'a>>, WireError> {
        self.optional(i, Expected::Text, Json::as_text)
    }

    pub(crate) fn need_text(&self, i: usize) -> Result<Text<'a>, WireError> {
        self.required(i, self.text(i)?)
    }

    /// An integer that fits the type of the field.
    pub(crate) fn int<T: TryFrom<i64>>(&self, i: usize) -> Result<Option<T>, WireError> {
        self.optional(i, Expected::Integer, |v| {
            v.as_i64().and_then(|x| T::try_from(x).ok())
        })
    }

    pub(crate) fn need_int<T: TryFrom<i64>>(&self, i: usize) -> Result<T, WireError> {
        self.required(i, self.int(i)?)
    }

    pub(crate) fn bool(&self, i: usize) -> Result<Option<bool>, WireError> {
        self.optional(i, Expected::Bool, Json::as_bool)
    }

    pub(crate) fn need_bool(&self, i: usize) -> Result<bool, WireError> {
        self.required(i, self.bool(i)?)
    }

    pub(crate) fn object(&self, i: usize) -> Result<Option<Json<'a>>, WireError> {
        self.optional(i, Expected::Object, |v| v.members().map(|_| v))
    }

    pub(crate) fn need_object(&self, i: usize) -> Result<Json<'a>, WireError> {
        self.required(i, self.object(i)?)
    }

    pub(crate) fn array(&self, i: usize) -> Result<Option<Json<'a>>, WireError> {
        self.optional(i, Expected::Array, |v| v.elements().map(|_| v))
    }
}
