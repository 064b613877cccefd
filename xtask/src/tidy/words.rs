//! Words that must not be in the tree: paths of one person's machine, and package sources other than the public registries.

use super::finding::Finding;

/// Folders of a developer's machine. Written in two halves, so that this file passes its own rule.
const MACHINE_PATHS: [(&str, &str); 5] = [
    ("/work/", "main"),
    ("/work/", "shared"),
    ("/tmp/", "team"),
    ("/tmp/", "wt/"),
    ("/tmp/", "target/"),
];

/// The one line that names crates.io in a lock file.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
const NPM: &str = "https://registry.npmjs.org/";

/// Checks any text file.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (first, second) in MACHINE_PATHS {
            let word = format!("{first}{second}");
            if line.contains(&word) {
                findings.push(Finding::error(
                    "machine-path",
                    path,
                    index + 1,
                    format!("`{word}` is a path of one machine"),
                ));
            }
        }
    }
    if path.ends_with(".cargo/config.toml") || path.ends_with(".npmrc") {
        findings.extend(other_registry(path, text));
    }
    findings
}

fn other_registry(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate();
    let bad = lines.filter(|(_, line)| {
        let line = line.trim_start();
        let setting = [
            "[source",
            "[registries",
            "[registry",
            "replace-with",
            "registry=",
            "registry =",
        ];
        setting.iter().any(|start| line.starts_with(start)) && !line.contains(NPM)
    });
    bad.map(|(index, _)| {
        Finding::error(
            "registry",
            path,
            index + 1,
            "packages come from the public registries; keep mirrors in your home folder",
        )
    })
    .collect()
}

/// Checks that a lock file of cargo or npm names the public registry alone.
pub fn check_lock(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let bad = if let Some(source) = line.strip_prefix("source = ") {
            source.trim_matches('"') != CRATES_IO
        } else if let Some(resolved) = line.strip_prefix("\"resolved\": \"") {
            // Without a scheme it is a folder of this repository.
            resolved.contains("://") && !resolved.starts_with(NPM)
        } else {
            false
        };
        if bad {
            findings.push(Finding::error(
                "registry",
                path,
                index + 1,
                "this package does not come from the public registry",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{check, check_lock};

    #[test]
    fn paths_of_one_machine_are_found() {
        let path = format!("/tmp/{}", "team/notes");
        assert_eq!(check("docs/a.md", &format!("one\nsee {path}\n"))[0].line, 2);
        assert_eq!(
            check(
                "docs/a.md",
                "see /tmp/espalier, /var/lib/espalier and /work
"
            ),
            []
        );
    }

    #[test]
    fn lock_files_name_the_public_registries() {
        let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert_eq!(check_lock("Cargo.lock", good), []);
        let bad = "[[package]]\nsource = \"registry+https://crates.example/index\"\nsource = \"git+https://github.com/a/b\"\n";
        let lines: Vec<_> = check_lock("Cargo.lock", bad)
            .into_iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [2, 3]);
        assert_eq!(
            check_lock(
                "p.json",
                "\"resolved\": \"https://registry.npmjs.org/a/-/a-1.tgz\",\n\"resolved\": \"packages/a\",\n"
            ),
            []
        );
        assert_eq!(
            check_lock("p.json", "\"resolved\": \"https://npm.example/a-1.tgz\",\n").len(),
            1
        );
    }

    #[test]
    fn mirrors_are_not_configured_in_the_tree() {
        assert_eq!(
            check(".cargo/config.toml", "[alias]\nxtask = \"run\"\n"),
            []
        );
        assert_eq!(
            check(
                ".cargo/config.toml",
                "[source.crates-io]\nreplace-with = \"m\"\n"
            )
            .len(),
            2
        );
        assert_eq!(
            check("web/.npmrc", "registry=https://npm.example/\n").len(),
            1
        );
    }
}
