//! All SQL of identity, one file per kind of row.

pub mod accounts;
pub mod audit;
pub mod keys;
pub mod one_time;
pub mod rules;
pub mod sessions;
pub mod settings;

use espalier_db::{Error, Result};

/// Parses a column that the product wrote itself.
pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|e: T::Err| Error::Column {
        column: column.to_owned(),
        problem: e.to_string(),
    })
}
