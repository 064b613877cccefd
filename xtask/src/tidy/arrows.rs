//! Which crate may use which: the one table of the house, and the crates that know no outside world.

use super::finding::Finding;
use super::graph::Graph;

/// For each crate of ours, the crates of ours it may be built from. What is not in the table is refused, so that a new crate is
/// given its place on purpose.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "espalier",
        &[
            "espalier-server",
            "espalier-sim",
            "espalier-ui",
            "espalier-db",
            "espalier-tsdb",
            "espalier-image",
            "espalier-model",
            "espalier-wire",
        ],
    ),
    (
        "espalier-server",
        &[
            "espalier-db",
            "espalier-tsdb",
            "espalier-ui",
            "espalier-mqtt",
            "espalier-voice",
            "espalier-builder",
            "espalier-connectors",
            "espalier-image",
            "espalier-model",
            "espalier-wire",
        ],
    ),
    ("espalier-db", &["espalier-model", "espalier-wire"]),
    ("espalier-tsdb", &["espalier-model", "espalier-wire"]),
    ("espalier-mqtt", &["espalier-model", "espalier-wire"]),
    ("espalier-voice", &["espalier-model", "espalier-wire"]),
    ("espalier-builder", &["espalier-model", "espalier-wire"]),
    ("espalier-connectors", &["espalier-model", "espalier-wire"]),
    ("espalier-model", &["espalier-wire"]),
    ("espalier-wire", &[]),
    ("espalier-image", &[]),
    ("espalier-device", &["espalier-wire", "espalier-image"]),
    (
        "espalier-board",
        &["espalier-device", "espalier-image", "espalier-wire"],
    ),
    (
        "espalier-sim",
        &["espalier-device", "espalier-image", "espalier-wire"],
    ),
    ("espalier-ui", &[]),
    (
        "espalier-testkit",
        &[
            "espalier-server",
            "espalier-sim",
            "espalier-db",
            "espalier-tsdb",
            "espalier-image",
            "espalier-model",
            "espalier-wire",
        ],
    ),
    (
        "espalier-bench",
        &[
            "espalier-server",
            "espalier-sim",
            "espalier-testkit",
            "espalier-db",
            "espalier-tsdb",
            "espalier-image",
            "espalier-model",
            "espalier-wire",
        ],
    ),
    (
        "espalier-fuzz",
        &[
            "espalier-server",
            "espalier-tsdb",
            "espalier-board",
            "espalier-device",
            "espalier-image",
            "espalier-wire",
        ],
    ),
    ("xtask", &[]),
];

/// Tests of these may use the test kit; below them it would turn the arrows round.
const TESTED_WITH_KIT: [&str; 3] = ["espalier", "espalier-server", "espalier-sim"];
const KIT: &str = "espalier-testkit";

/// These run on a chip or decide without looking: no runtime, no socket, no database, not even through a friend.
const PURE: [&str; 5] = [
    "espalier-wire",
    "espalier-model",
    "espalier-device",
    "espalier-board",
    "espalier-image",
];
const WORLDLY: [&str; 11] = [
    "async-std",
    "axum",
    "hyper",
    "mio",
    "reqwest",
    "rusqlite",
    "smol",
    "sqlx",
    "tokio",
    "tokio-postgres",
    "tungstenite",
];

/// Checks every member of the workspace.
pub fn check(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, package) in graph.members() {
        let name = package.name.as_str();
        let manifest = manifest(name);
        let mut refuse = |other: &str, message: String| {
            findings.push(Finding::error("arrows", &manifest, 0, message).about(other))
        };
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            refuse(
                name,
                format!("`{name}` has no place in the table of xtask/src/tidy/arrows.rs"),
            );
            continue;
        };
        let ours = |id: &&String| {
            graph
                .packages
                .get(*id)
                .is_some_and(|package| package.member)
        };
        for other in package.uses.iter().filter(ours).map(|id| graph.name(id)) {
            if !allowed.contains(&other) {
                refuse(other, format!("`{name}` must not use `{other}`"));
            }
        }
        for other in package
            .tests_use
            .iter()
            .filter(ours)
            .map(|id| graph.name(id))
        {
            let kit = other == KIT && TESTED_WITH_KIT.contains(&name);
            if !kit && other != name && !allowed.contains(&other) {
                refuse(
                    other,
                    format!("the tests of `{name}` must not use `{other}`"),
                );
            }
        }
        if PURE.contains(&name) {
            for other in graph
                .closure(id)
                .into_iter()
                .map(|id| graph.name(id))
                .filter(|other| WORLDLY.contains(other))
            {
                refuse(
                    other,
                    format!("`{name}` knows no outside world, but is built with `{other}`"),
                );
            }
        }
    }
    findings
}

fn manifest(name: &str) -> String {
    match name {
        "xtask" => "xtask/Cargo.toml".to_owned(),
        "espalier-bench" => "bench/Cargo.toml".to_owned(),
        "espalier-fuzz" => "fuzz/Cargo.toml".to_owned(),
        _ => format!("crates/{name}/Cargo.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::Graph;
    use super::check;

    fn messages(lines: &[(&str, &[&str], &[&str])]) -> Vec<String> {
        check(&Graph::sample(lines))
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn the_house_as_designed_passes() {
        let none: &[&str] = &[];
        let lines: &[(&str, &[&str], &[&str])] = &[
            (
                "espalier",
                &["espalier-server", "espalier-sim"],
                &["espalier-testkit"],
            ),
            (
                "espalier-server",
                &["espalier-db", "espalier-model", "tokio"],
                &["espalier-testkit"],
            ),
            ("espalier-testkit", &["espalier-server"], none),
            ("espalier-db", &["rusqlite"], &["tokio"]),
            ("espalier-model", &["espalier-wire"], none),
            ("espalier-device", &["espalier-wire"], none),
            (
                "espalier-sim",
                &["espalier-device", "tokio"],
                &["espalier-testkit"],
            ),
            ("espalier-wire", &["serde"], none),
        ];
        assert_eq!(messages(lines), [""; 0]);
    }

    #[test]
    fn arrows_do_not_turn() {
        assert_eq!(
            messages(&[
                ("espalier-db", &["espalier-tsdb"], &[]),
                ("espalier-tsdb", &[], &[])
            ]),
            ["`espalier-db` must not use `espalier-tsdb`"]
        );
        let testkit = messages(&[
            ("espalier-server", &["espalier-testkit"], &[]),
            ("espalier-testkit", &[], &[]),
        ]);
        assert_eq!(
            testkit,
            ["`espalier-server` must not use `espalier-testkit`"]
        );
        let low = messages(&[
            ("espalier-model", &[], &["espalier-testkit"]),
            ("espalier-testkit", &[], &[]),
        ]);
        assert_eq!(
            low,
            ["the tests of `espalier-model` must not use `espalier-testkit`"]
        );
    }

    #[test]
    fn pure_crates_stay_pure_through_friends_too() {
        let found = messages(&[
            ("espalier-model", &["friend"], &["tokio"]),
            ("friend", &["tokio"], &[]),
        ]);
        assert_eq!(
            found,
            ["`espalier-model` knows no outside world, but is built with `tokio`"]
        );
    }

    #[test]
    fn a_new_crate_is_given_its_place() {
        assert_eq!(messages(&[("espalier-blockchain", &[], &[])]).len(), 1);
    }
}
