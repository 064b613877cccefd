//! The document of rules: its shape, and the one that ships.

use super::{ACTIONS, Collection, rule_name};
use crate::ApiError;
use espalier_model::Action;
use serde_json::{Map, Value, json};

/// The longest expression, bytes: enough for any rule a person can read.
const MAX_EXPRESSION: usize = 1000;

/// Checked for shape, not yet compiled.
#[derive(Debug, PartialEq)]
pub struct Document(pub Vec<(Collection, Action, String)>);

/// The rules that hold until somebody saves others: admins and owners may do everything, shares as their
/// role says.
pub fn default_document() -> Value {
    let own = "auth.is_admin || data.owner == auth.uid";
    let rules = json!({
        ".read": format!("{own} || data.share in ['viewer', 'member', 'admin']"),
        ".control": format!("{own} || data.share in ['member', 'admin']"),
        ".manage": format!("{own} || data.share == 'admin'"),
        ".own": own,
    });
    let all = Collection::ALL.map(|collection| (collection.name().to_owned(), rules.clone()));
    Value::Object(Map::from_iter(all))
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// 422 that names what is unknown or has the wrong type.
    pub fn parse(document: &Value) -> Result<Self, ApiError> {
        let known = || Collection::ALL.map(Collection::name).join("`, `");
        let object = document.as_object().ok_or_else(|| {
            ApiError::invalid(
                &["body", "rules"],
                "must be an object with one entry per collection",
            )
        })?;
        let mut rules = Vec::new();
        for (name, entry) in object {
            let collection = Collection::ALL
                .into_iter()
                .find(|c| c.name() == name)
                .ok_or_else(|| {
                    ApiError::invalid(
                        &["body", "rules", name],
                        format!("unknown collection; known are `{}`", known()),
                    )
                })?;
            let entry = entry.as_object().ok_or_else(|| {
                ApiError::invalid(
                    &["body", "rules", name],
                    "must be an object such as {\".read\": \"auth.is_admin\"}",
                )
            })?;
            for (rule, value) in entry {
                let (action, text) = one(name, rule, value)?;
                if rules
                    .iter()
                    .any(|(c, a, _)| *c == collection && *a == action)
                {
                    return Err(ApiError::invalid(
                        &["body", "rules", name, rule],
                        "is given twice: `.write` is another name of `.control`",
                    ));
                }
                rules.push((collection, action, text));
            }
        }
        Ok(Self(rules))
    }
}

fn one(collection: &str, rule: &str, value: &Value) -> Result<(Action, String), ApiError> {
    let loc = ["body", "rules", collection, rule];
    let name = if rule == ".write" { ".control" } else { rule };
    let action = ACTIONS
        .into_iter()
        .find(|action| rule_name(*action) == name)
        .ok_or_else(|| {
            ApiError::invalid(
                &loc,
                "unknown rule; known are `.read`, `.control` (or `.write`), `.manage`, `.own`",
            )
        })?;
    let text = match value {
        Value::Bool(flag) => flag.to_string(),
        Value::String(text) if text.len() <= MAX_EXPRESSION => text.clone(),
        Value::String(_) => {
            return Err(ApiError::invalid(
                &loc,
                format!("is longer than {MAX_EXPRESSION} bytes"),
            ));
        }
        _ => {
            return Err(ApiError::invalid(
                &loc,
                "must be an expression in a string, or true or false",
            ));
        }
    };
    Ok((action, text))
}
