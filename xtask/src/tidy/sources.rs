//! Rules for one Rust file: its header, its size, the size of its functions, what it must not leave behind, and closed slices.

use super::finding::Finding;
use super::scan::Source;

/// Above the first number a reader begins to scroll, above the second the file is two files.
const FILE_LINES: (usize, usize) = (400, 800);
/// The same for functions: a screen, and two.
const FUNCTION_LINES: (usize, usize) = (60, 120);

/// Checks one file.
pub fn check(path: &str, text: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(header(path, text));
    findings.extend(file_size(path, source));
    findings.extend(function_sizes(path, source));
    findings.extend(left_behind(path, source));
    findings.extend(sleeps(path, source));
    findings.extend(open_slice(path, source));
    findings
}

/// Returns whether all of a file is test code.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/benches/")
}

fn header(path: &str, text: &str) -> Option<Finding> {
    let message =
        "begins without a `//!` header: say what this file is, what it is not, where to go next";
    (!text.starts_with("//!")).then(|| Finding::error("header", path, 1, message))
}

/// Compares a number of lines with its limits; too long is an error in production code and a warning in tests.
fn limit(
    rule: &'static str,
    path: &str,
    line: usize,
    what: &str,
    lines: usize,
    limits: (usize, usize),
    test: bool,
) -> Option<Finding> {
    let (aim, hard) = limits;
    if lines <= aim || (test && lines <= hard) {
        return None;
    }
    let finding = Finding::error(
        rule,
        path,
        line,
        format!("{what} has {lines} lines; the aim is {aim}, the limit {hard}"),
    );
    Some(if lines > hard && !test {
        finding
    } else {
        finding.into_warning()
    })
}

fn file_size(path: &str, source: &Source) -> Option<Finding> {
    let all = source.code.lines().count();
    let tests: usize = source
        .test_modules()
        .iter()
        .map(|range| source.lines_in(range))
        .sum();
    let what = if tests > 0 {
        "the file without its tests"
    } else {
        "the file"
    };
    limit(
        "file-size",
        path,
        0,
        what,
        all.saturating_sub(tests),
        FILE_LINES,
        is_test_file(path),
    )
}

fn function_sizes(path: &str, source: &Source) -> Vec<Finding> {
    let test_modules = source.test_modules();
    let mut findings = Vec::new();
    for function in source.functions() {
        let start = function.range.start;
        let test = is_test_file(path) || test_modules.iter().any(|module| module.contains(&start));
        let lines = source.lines_in(&function.range);
        let what = format!("`fn {}`", function.name);
        let finding = limit(
            "function-size",
            path,
            source.line(start),
            &what,
            lines,
            FUNCTION_LINES,
            test,
        );
        findings.extend(finding.map(|finding| finding.about(&function.name)));
    }
    findings
}

fn left_behind(path: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["todo", "unimplemented", "dbg"] {
        for at in source.words(name) {
            if source.code[at + name.len()..].starts_with('!') {
                findings.push(Finding::error(
                    "unfinished",
                    path,
                    source.line(at),
                    format!("`{name}!` must not be left in the tree"),
                ));
            }
        }
    }
    findings
}

fn sleeps(path: &str, source: &Source) -> Vec<Finding> {
    let test_modules = source.test_modules();
    let in_tests =
        |at: usize| is_test_file(path) || test_modules.iter().any(|module| module.contains(&at));
    let mut findings = Vec::new();
    for name in ["sleep", "sleep_until", "sleep_ms"] {
        for at in source.words(name).filter(|&at| in_tests(at)) {
            let before = &source.code[..at];
            // Also the imported form, `use tokio::time::{self, sleep}`.
            let statement = before.rsplit([';', '}']).next().unwrap_or(before);
            let imported = statement.contains("use ")
                && (statement.contains("time::") || statement.contains("thread::"));
            if before.ends_with("thread::") || before.ends_with("time::") || imported {
                let message = "a test never sleeps: wait for the event or the condition, or move the test's clock";
                findings.push(Finding::error("sleep", path, source.line(at), message));
            }
        }
    }
    findings
}

/// A slice of the server is a folder directly below `src` with a `mod.rs`; its `http` and `store` are nobody else's business.
fn open_slice(path: &str, source: &Source) -> Vec<Finding> {
    let inside = path
        .strip_prefix("crates/espalier-server/src/")
        .and_then(|rest| rest.strip_suffix("/mod.rs"));
    if inside.is_none_or(|folder| folder.is_empty() || folder.contains('/')) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for at in source.words("mod") {
        let name = source.code[at + 3..].trim_start();
        let name: String = name
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let line_start = source.code[..at]
            .rfind(['\n', ';', '}'])
            .map_or(0, |found| found + 1);
        let public = source.code[line_start..at]
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == "pub");
        if public && matches!(name.as_str(), "store" | "http") {
            let message = format!(
                "`mod {name}` must be private: a feature is entered by the functions of its mod.rs"
            );
            findings.push(Finding::error("open-slice", path, source.line(at), message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Finding, Severity};
    use super::super::scan::scan;
    use super::check;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        findings(path, text)
            .into_iter()
            .map(|finding| (finding.rule, finding.line))
            .collect()
    }

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        check(path, text, &scan(text))
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    #[test]
    fn the_header_comes_first() {
        assert_eq!(rules("crates/a/src/x.rs", "//! What it is.\nuse a;\n"), []);
        assert_eq!(
            rules("crates/a/src/x.rs", "// A note.\nuse a;\n"),
            [("header", 1)]
        );
        assert_eq!(rules("crates/a/src/x.rs", ""), [("header", 1)]);
    }

    #[test]
    fn files_have_an_aim_and_a_limit() {
        let file = |lines: usize| format!("//! X.\n{}", "const A: u8 = 1;\n".repeat(lines - 1));
        assert_eq!(findings("a.rs", &file(400)), []);
        assert_eq!(findings("a.rs", &file(401))[0].severity, Severity::Warning);
        assert_eq!(findings("a.rs", &file(801))[0].severity, Severity::Error);
        assert_eq!(
            findings("a/tests.rs", &file(801))[0].severity,
            Severity::Warning
        );
        let with_tests = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            file(399),
            "const A: u8 = 1;\n".repeat(500)
        );
        assert_eq!(findings("a.rs", &with_tests), []);
    }

    #[test]
    fn functions_have_an_aim_and_a_limit() {
        let severity = |text: &str| {
            findings("a.rs", &format!("//! X.\n{text}"))
                .first()
                .map(|finding| finding.severity)
        };
        assert_eq!(severity(&function(60)), None);
        assert_eq!(severity(&function(61)), Some(Severity::Warning));
        assert_eq!(severity(&function(121)), Some(Severity::Error));
        assert_eq!(
            severity(&format!(
                "#[cfg(test)]\nmod tests {{\n{}}}\n",
                function(121)
            )),
            Some(Severity::Warning)
        );
    }

    #[test]
    fn nothing_unfinished_stays() {
        let text = "//! X.\nfn f() {\n    todo!();\n    unimplemented!(\"a\");\n    dbg!(1);\n}\n";
        assert_eq!(
            rules("a.rs", text),
            [("unfinished", 3), ("unfinished", 4), ("unfinished", 5)]
        );
        assert_eq!(
            rules(
                "a.rs",
                "//! X.\n// todo!()\nlet a = \"dbg!\"; todo(); my_dbg!();\n"
            ),
            []
        );
    }

    #[test]
    fn tests_do_not_sleep_and_programs_may() {
        let text = "//! X.\nfn f() { std::thread::sleep(d); tokio::time::sleep(d).await; }\n";
        assert_eq!(
            rules("crates/a/src/tests.rs", text),
            [("sleep", 2), ("sleep", 2)]
        );
        assert_eq!(
            rules("crates/a/tests/story.rs", text),
            [("sleep", 2), ("sleep", 2)]
        );
        assert_eq!(rules("crates/a/src/retry.rs", text), []);
        let inline = "//! X.\nuse tokio::time::sleep;\n#[cfg(test)]\nmod tests {\n    use tokio::time::{self, sleep};\n}\n";
        assert_eq!(rules("crates/a/src/retry.rs", inline), [("sleep", 5)]);
        assert_eq!(
            rules(
                "crates/a/src/tests.rs",
                "//! X.\nfn f() { device.sleep(); deep_sleep(); }\n"
            ),
            []
        );
    }

    #[test]
    fn slices_are_closed() {
        let text = "//! X.\nmod http;\npub mod store;\npub(crate) mod http;\npub mod logic;\n";
        assert_eq!(
            rules("crates/espalier-server/src/devices/mod.rs", text),
            [("open-slice", 3), ("open-slice", 4)]
        );
        assert_eq!(rules("crates/espalier-server/src/lib.rs", text), []);
        assert_eq!(rules("crates/espalier-db/src/store/mod.rs", text), []);
    }
}
