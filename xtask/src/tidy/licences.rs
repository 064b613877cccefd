//! The licences and the banned crates of `deny.toml`, checked through `cargo metadata` so that nothing has to be installed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::finding::Finding;
use super::graph::Graph;

/// The part of `deny.toml` that is checked here.
#[derive(Debug, Deserialize)]
pub struct Policy {
    bans: Bans,
    licenses: Licences,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Debug, Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

impl Policy {
    /// Reads `deny.toml`.
    ///
    /// # Errors
    /// When it is not readable or not valid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} is not readable", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }

    /// Checks every package that is not ours.
    pub fn check(&self, graph: &Graph) -> Vec<Finding> {
        let more: BTreeMap<&str, &[String]> = self
            .licenses
            .exceptions
            .iter()
            .map(|exception| (exception.name.as_str(), exception.allow.as_slice()))
            .collect();
        let mut findings = Vec::new();
        for package in graph.packages.values().filter(|package| !package.member) {
            let name = package.name.as_str();
            let mut refuse = |rule, message: String| {
                findings.push(Finding::error(rule, "Cargo.lock", 0, message).about(name))
            };
            if self.bans.deny.iter().any(|banned| banned.name == name) {
                refuse(
                    "bans",
                    format!(
                        "`{name}` is banned by deny.toml; `cargo tree -i {name}` shows who brings it"
                    ),
                );
            }
            let extra = more.get(name).copied().unwrap_or_default();
            let allowed = |licence: &str| {
                self.licenses
                    .allow
                    .iter()
                    .chain(extra)
                    .any(|known| known == licence)
            };
            let described = format!("{name} {}", package.version);
            match &package.licence {
                None => refuse("licences", format!("`{described}` names no licence")),
                Some(expression) if !permits(expression, &allowed) => {
                    refuse(
                        "licences",
                        format!(
                            "`{described}` has the licence `{expression}`, which deny.toml does not allow"
                        ),
                    );
                }
                Some(_) => {}
            }
        }
        findings
    }
}

/// Decides whether an SPDX expression can be satisfied with allowed licences. An expression that is not understood cannot.
fn permits(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    // Before SPDX a slash meant a choice.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut words, allowed);
    verdict == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut verdict = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all_of(words, allowed)?;
    }
    Some(verdict)
}

fn all_of(words: &mut Words, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut verdict = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed)?;
    }
    Some(verdict)
}

fn one(words: &mut Words, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let verdict = any_of(words, allowed)?;
        return (words.next()? == ")").then_some(verdict);
    }
    // An exception only widens what the licence permits, but it must be listed together with it.
    if words.next_if_eq(&"WITH").is_some() {
        return Some(allowed(&format!("{word} WITH {}", words.next()?)));
    }
    Some(allowed(word))
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Graph, Package};
    use super::{Policy, permits};

    fn policy() -> Policy {
        toml::from_str(
            "[bans]\ndeny = [{ crate = \"openssl-sys\" }]\n[licenses]\nallow = [\"MIT\", \"ISC\"]\n\
             exceptions = [{ crate = \"special\", allow = [\"MPL-2.0\"] }]\n",
        )
        .unwrap()
    }

    fn messages(name: &str, licence: Option<&str>) -> Vec<String> {
        let mut graph = Graph::default();
        let package = Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.map(str::to_owned),
            ..Package::default()
        };
        graph.packages.insert(name.to_owned(), package);
        policy()
            .check(&graph)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        let allowed =
            |licence: &str| matches!(licence, "MIT" | "ISC" | "Apache-2.0 WITH LLVM-exception");
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/GPL-3.0",
            "(MIT OR GPL-3.0) AND ISC",
            "Apache-2.0 WITH LLVM-exception",
            "GPL-3.0 AND X OR MIT",
        ] {
            assert!(permits(good, &allowed), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT ISC",
            "Apache-2.0",
            "Apache-2.0 WITH",
        ] {
            assert!(!permits(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn packages_are_checked_against_the_policy() {
        assert_eq!(messages("fine", Some("MIT OR GPL-3.0")), [""; 0]);
        assert_eq!(messages("special", Some("MPL-2.0")), [""; 0]);
        assert!(messages("other", Some("MPL-2.0"))[0].contains("MPL-2.0"));
        assert!(messages("unnamed", None)[0].contains("names no licence"));
        assert!(messages("openssl-sys", Some("MIT"))[0].contains("banned"));
    }
}
