//! The rule that SQL stands in one place: the storage crates, and `store` of each slice of the server.
//!
//! It looks at string literals, so prose in comments is free. Tests may look into the database.

use super::finding::Finding;
use super::scan::Source;
use super::sources::is_test_file;

/// Crates that are about a database.
const STORAGE: [&str; 2] = ["crates/espalier-db/", "crates/espalier-tsdb/"];
/// Crates that are never part of the product. xtask also holds the words themselves.
const TOOLS: [&str; 4] = ["crates/espalier-testkit/", "bench/", "fuzz/", "xtask/"];

/// How a statement begins, and the word that must follow somewhere; both in lower case.
const STATEMENTS: [(&str, &str); 13] = [
    ("select ", " from "),
    ("insert into ", " "),
    ("insert or ", " into "),
    ("update ", " set "),
    ("delete from ", ""),
    ("with ", " select "),
    ("create table ", ""),
    ("create index ", ""),
    ("create unique index ", ""),
    ("alter table ", ""),
    ("drop table ", ""),
    ("drop index ", ""),
    ("pragma ", ""),
];

/// Checks one file.
pub fn check(path: &str, source: &Source) -> Vec<Finding> {
    if may_hold_sql(path) {
        return Vec::new();
    }
    let test_modules = source.test_modules();
    let statements = source
        .strings
        .iter()
        .filter(|literal| is_statement(&literal.text));
    statements
        .filter(|literal| {
            !test_modules
                .iter()
                .any(|module| module.contains(&literal.offset))
        })
        .map(|literal| {
            let message = "SQL outside of a `store`: move the statement into the slice's store.rs";
            Finding::error("sql", path, source.line(literal.offset), message)
        })
        .collect()
}

fn may_hold_sql(path: &str) -> bool {
    let store = path.starts_with("crates/espalier-server/")
        && (path.ends_with("/store.rs") || path.contains("/store/"));
    store
        || is_test_file(path)
        || STORAGE
            .iter()
            .chain(&TOOLS)
            .any(|folder| path.starts_with(folder))
}

fn is_statement(literal: &str) -> bool {
    // A backslash at the end of a line continues the literal.
    let text = literal.replace("\\\n", " ").to_ascii_lowercase();
    let text = format!("{} ", text.split_whitespace().collect::<Vec<_>>().join(" "));
    STATEMENTS.iter().any(|(start, then)| {
        text.strip_prefix(start)
            .is_some_and(|rest| format!(" {rest}").contains(then))
    })
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::check;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(path, &scan(text))
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn statements_are_found_wherever_they_hide() {
        for statement in [
            r#""select id from devices where id = $1""#,
            "\"\\\n        SELECT id\n        FROM devices\"",
            r##"r#"insert into devices (id) values ($1)"#"##,
            r#""update devices set name = $1""#,
            r#""delete from devices""#,
            r#""with x as (select 1) select * from x""#,
            r#""pragma user_version""#,
        ] {
            let text = format!("//! X.\nfn f() {{ db.query({statement}); }}\n");
            assert_eq!(
                lines("crates/espalier-server/src/devices/logic.rs", &text),
                [2],
                "{statement}"
            );
        }
    }

    #[test]
    fn prose_is_no_statement() {
        let text = r#"f("select a device", "update the firmware", "Delete this device?", "from where", "with love");"#;
        assert_eq!(
            lines("crates/espalier-server/src/devices/http.rs", text),
            [0; 0]
        );
        assert_eq!(
            lines(
                "crates/espalier-server/src/devices/http.rs",
                "// select id from devices\n"
            ),
            [0; 0]
        );
    }

    #[test]
    fn stores_storage_crates_and_tests_may() {
        let text = "f(\"select id from devices\");";
        for path in [
            "crates/espalier-server/src/devices/store.rs",
            "crates/espalier-server/src/devices/store/groups.rs",
            "crates/espalier-server/src/devices/tests.rs",
            "crates/espalier-db/src/backup.rs",
            "crates/espalier-tsdb/src/journal.rs",
            "bench/src/main.rs",
        ] {
            assert_eq!(lines(path, text), [0; 0], "{path}");
        }
        assert_eq!(lines("crates/espalier/src/store.rs", text), [1]);
    }
}
