//! The dependency graph as `cargo metadata` tells it, reduced to what the rules ask for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// All packages of the workspace and of everything it may use, on any platform.
#[derive(Debug, Default)]
pub struct Graph {
    pub packages: BTreeMap<String, Package>,
}

/// One package; the key in the graph is cargo's id, which is unique where names are not.
#[derive(Debug, Default)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub licence: Option<String>,
    /// Whether it is a member of this workspace.
    pub member: bool,
    /// What it is built from: normal and build dependencies, by id.
    pub uses: BTreeSet<String>,
    /// What only its tests use, by id.
    pub tests_use: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<RawPackage>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct RawPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

impl Graph {
    /// Asks cargo for the graph of this workspace with all features.
    ///
    /// # Errors
    /// When cargo fails or answers something unknown.
    pub fn load() -> Result<Self> {
        let json = process::read(process::cargo().args([
            "metadata",
            "--format-version",
            "1",
            "--all-features",
        ]))?;
        Self::parse(&json)
    }

    fn parse(json: &str) -> Result<Self> {
        let metadata: Metadata =
            serde_json::from_str(json).context("`cargo metadata` answered something unknown")?;
        let mut packages = BTreeMap::new();
        for raw in metadata.packages {
            let member = metadata.workspace_members.contains(&raw.id);
            let package = Package {
                name: raw.name,
                version: raw.version,
                licence: raw.license,
                member,
                ..Package::default()
            };
            packages.insert(raw.id, package);
        }
        for node in metadata.resolve.nodes {
            let package = packages
                .get_mut(&node.id)
                .context("`cargo metadata` resolved a package it does not list")?;
            for dependency in node.deps {
                let is_dev = |kind: &Kind| kind.kind.as_deref() == Some("dev");
                if dependency.dep_kinds.iter().any(is_dev) {
                    package.tests_use.insert(dependency.pkg.clone());
                }
                if dependency.dep_kinds.iter().any(|kind| !is_dev(kind)) {
                    package.uses.insert(dependency.pkg);
                }
            }
        }
        Ok(Self { packages })
    }

    /// Returns the members of the workspace.
    pub fn members(&self) -> impl Iterator<Item = (&String, &Package)> {
        self.packages.iter().filter(|(_, package)| package.member)
    }

    /// Returns a package by its id; the graph is closed, so that an unknown id is an empty package.
    pub fn name(&self, id: &str) -> &str {
        self.packages
            .get(id)
            .map_or("", |package| package.name.as_str())
    }

    /// Returns the ids of everything a package is built from, directly or not.
    pub fn closure(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for used in self
                .packages
                .get(next)
                .into_iter()
                .flat_map(|package| &package.uses)
            {
                if seen.insert(used.as_str()) {
                    open.push(used);
                }
            }
        }
        seen
    }

    /// Builds a graph from lines `name -> normal | dev`, every name a member whose id is its name; for the tests of the rules.
    #[cfg(test)]
    pub fn sample(lines: &[(&str, &[&str], &[&str])]) -> Self {
        let ids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut packages: BTreeMap<String, Package> = BTreeMap::new();
        for (name, uses, tests_use) in lines {
            let member = name.starts_with("espalier") || *name == "xtask";
            let package = Package {
                name: (*name).to_owned(),
                member,
                uses: ids(uses),
                tests_use: ids(tests_use),
                ..Package::default()
            };
            packages.insert((*name).to_owned(), package);
        }
        for id in lines.iter().flat_map(|line| line.1.iter().chain(line.2)) {
            packages.entry((*id).to_owned()).or_insert_with(|| Package {
                name: (*id).to_owned(),
                ..Package::default()
            });
        }
        Self { packages }
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn reads_what_cargo_says() {
        let json = r#"{"packages":[{"id":"a 1","name":"a","version":"1.0.0","license":"MIT"},{"id":"b 1","name":"b","version":"1.0.0","license":null}],
            "workspace_members":["a 1"],"resolve":{"nodes":[{"id":"a 1","deps":[{"pkg":"b 1","dep_kinds":[{"kind":null},{"kind":"dev"}]}]},{"id":"b 1","deps":[]}]}}"#;
        let graph = Graph::parse(json).unwrap();
        let a = &graph.packages["a 1"];
        assert!(a.member && a.uses.contains("b 1") && a.tests_use.contains("b 1"));
        assert_eq!(
            graph.closure("a 1").into_iter().collect::<Vec<_>>(),
            ["b 1"]
        );
        assert_eq!(graph.packages["b 1"].licence, None);
    }
}
