//! Values that cross the boundary to SQL, and rows that come back.

use crate::{Error, Result};
use std::sync::Arc;

/// One SQL value, in the types both engines share.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL null.
    Null,
    /// A `bigint`.
    Int(i64),
    /// A `double precision`.
    Real(f64),
    /// A `text`.
    Text(String),
    /// A `bytea`.
    Blob(Vec<u8>),
}

macro_rules! from {
    ($($type:ty => |$v:ident| $value:expr),* $(,)?) => {
        $(impl From<$type> for Value { fn from($v: $type) -> Self { $value } })*
    };
}

from! {
    i64 => |v| Self::Int(v),
    i32 => |v| Self::Int(v.into()),
    u32 => |v| Self::Int(v.into()),
    bool => |v| Self::Int(v.into()),
    f64 => |v| Self::Real(v),
    &str => |v| Self::Text(v.to_owned()),
    String => |v| Self::Text(v),
    &String => |v| Self::Text(v.clone()),
    Arc<str> => |v| Self::Text(v.to_string()),
    Vec<u8> => |v| Self::Blob(v),
    &[u8] => |v| Self::Blob(v.to_vec()),
    &Vec<u8> => |v| Self::Blob(v.clone()),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(value: [u8; N]) -> Self {
        Self::Blob(value.to_vec())
    }
}

/// Conversion of a column into a Rust type.
pub trait FromValue: Sized {
    /// Converts, or tells what was found instead.
    ///
    /// # Errors
    /// Names the type that was found.
    fn from_value(value: &Value) -> Result<Self, String>;
}

fn mismatch<T>(wanted: &str, found: &Value) -> Result<T, String> {
    let found = match found {
        Value::Null => "null",
        Value::Int(_) => "an integer",
        Value::Real(_) => "a real",
        Value::Text(_) => "a text",
        Value::Blob(_) => "bytes",
    };
    Err(format!("expected {wanted}, found {found}"))
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Int(v) => Ok(*v),
            other => mismatch("an integer", other),
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Result<Self, String> {
        i64::from_value(value)?
            .try_into()
            .map_err(|_| "integer out of range".to_owned())
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, String> {
        i64::from_value(value).map(|v| v != 0)
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Real(v) => Ok(*v),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a whole number in a real column"
            )]
            Value::Int(v) => Ok(*v as Self),
            other => mismatch("a real", other),
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(v) => Ok(v.clone()),
            other => mismatch("a text", other),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Blob(v) => Ok(v.clone()),
            other => mismatch("bytes", other),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Self, String> {
        Ok(value.clone())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// One result row; columns are addressed by name.
#[derive(Debug, Clone)]
pub struct Row {
    pub(crate) columns: Arc<[String]>,
    pub(crate) values: Vec<Value>,
}

impl Row {
    /// Reads the column `name`.
    ///
    /// # Errors
    /// Fails with [`Error::Column`] when there is no such column or it has another type.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T> {
        let index = self
            .columns
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| Error::Column {
                column: name.to_owned(),
                problem: "no such column".to_owned(),
            })?;
        T::from_value(&self.values[index]).map_err(|problem| Error::Column {
            column: name.to_owned(),
            problem,
        })
    }

    /// The columns' names, in order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The values, in the order of [`Row::columns`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}
