//! What a rule found, and the file of exceptions that may lift it.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Whether a finding makes the run fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Severity {
    Warning,
    Error,
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    pub rule: &'static str,
    /// Relative to the root of the repository.
    pub path: String,
    /// 1-based; 0 when the whole file is meant.
    pub line: usize,
    /// What in the file is meant, where exceptions need to name it: a function, a crate.
    pub item: Option<String>,
    pub message: String,
}

impl Finding {
    /// Returns an error about a line of a file (0: about all of it).
    pub fn error(rule: &'static str, path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            rule,
            path: path.to_owned(),
            line,
            item: None,
            message: message.into(),
        }
    }

    /// Returns the same finding as a warning.
    pub fn into_warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }

    /// Returns the same finding with the name of what is meant.
    pub fn about(self, item: &str) -> Self {
        Self {
            item: Some(item.to_owned()),
            ..self
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}[{}] {}", self.rule, self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// One entry of `xtask/tidy.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    /// A file, or a folder when it ends in `/`.
    path: String,
    item: Option<String>,
    reason: String,
}

/// The exceptions somebody gave a reason for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    #[serde(default)]
    exception: Vec<Exception>,
}

impl Exceptions {
    /// Reads the file of exceptions.
    ///
    /// # Errors
    /// When it is not readable or not valid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} is not readable", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }

    /// Removes what is excepted, and adds an error for each exception that is idle or has no reason.
    pub fn apply(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut used = vec![false; self.exception.len()];
        let mut kept = Vec::new();
        for finding in findings {
            match self
                .exception
                .iter()
                .position(|exception| exception.covers(&finding))
            {
                Some(index) => used[index] = true,
                None => kept.push(finding),
            }
        }
        for (exception, used) in self.exception.iter().zip(used) {
            let what = format!(
                "the exception of rule `{}` for {}",
                exception.rule, exception.path
            );
            if !used {
                kept.push(Finding::error(
                    "exceptions",
                    "xtask/tidy.toml",
                    0,
                    format!("{what} is no longer needed: remove it"),
                ));
            }
            if exception.reason.trim().is_empty() {
                kept.push(Finding::error(
                    "exceptions",
                    "xtask/tidy.toml",
                    0,
                    format!("{what} gives no reason"),
                ));
            }
        }
        kept
    }
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        let path = self.path == finding.path
            || (self.path.ends_with('/') && finding.path.starts_with(&self.path));
        path && self.rule == finding.rule && (self.item.is_none() || self.item == finding.item)
    }
}

#[cfg(test)]
mod tests {
    use super::{Exceptions, Finding};

    fn exceptions(text: &str) -> Exceptions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_exception_lifts_its_rule_for_its_item_only() {
        let list = exceptions(
            "[[exception]]\nrule = \"size\"\npath = \"a/\"\nitem = \"f\"\nreason = \"a table\"\n",
        );
        let kept = list.apply(vec![
            Finding::error("size", "a/b.rs", 1, "long").about("f"),
            Finding::error("size", "a/b.rs", 9, "long").about("g"),
            Finding::error("header", "a/b.rs", 1, "none"),
        ]);
        let lines: Vec<_> = kept.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [9, 1]);
    }

    #[test]
    fn an_idle_exception_and_one_without_a_reason_are_errors() {
        let list = exceptions("[[exception]]\nrule = \"size\"\npath = \"a.rs\"\nreason = \" \"\n");
        let messages: Vec<_> = list
            .apply(vec![])
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        assert_eq!(messages.len(), 2);
        assert!(messages[0].contains("no longer needed") && messages[1].contains("no reason"));
    }
}
