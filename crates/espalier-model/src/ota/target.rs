//! Which devices are meant: a small tree of conditions, checked when it is saved.
//!
//! As JSON: `"everything"`, `{"groups":["lab"]}`, `{"version":"< 2.0.0"}`, and combinations:
//! `{"and":[{"kinds":["plug"]},{"not":{"tags":["keep"]}}]}`.

use crate::Oid;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// Conditions in one tree.
pub const MAX_NODES: usize = 64;
/// Levels of one tree.
pub const MAX_DEPTH: usize = 8;
/// Words in one condition.
pub const MAX_WORDS: usize = 100;
/// Devices that a target names, in all its conditions together: every list of rollouts repeats them.
pub const MAX_DEVICES: usize = 1_000;
/// Characters of one word.
pub const MAX_WORD: usize = 100;

/// Which devices are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every device.
    Everything,
    /// These devices.
    Devices(Vec<Oid>),
    /// Devices in one of these groups.
    Groups(Vec<String>),
    /// Devices with one of these tags.
    Tags(Vec<String>),
    /// Devices of one of these kinds.
    Kinds(Vec<String>),
    /// Devices with one of these chips.
    Chips(Vec<String>),
    /// Devices that run such a version.
    Version(VersionTest),
    /// Devices whose name contains this; case does not matter.
    Name(String),
    /// Devices that all of these mean.
    And(Vec<Target>),
    /// Devices that one of these means.
    Or(Vec<Target>),
    /// Devices that this does not mean.
    Not(Box<Target>),
}

/// What a target looks at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The device's id.
    pub oid: Oid,
    /// Its name.
    pub name: &'a str,
    /// Its kind.
    pub kind: Option<&'a str>,
    /// Its groups.
    pub groups: &'a [Box<str>],
    /// Its tags.
    pub tags: &'a [Box<str>],
    /// Its chip.
    pub chip: Option<&'a str>,
    /// The version that it runs.
    pub version: Option<&'a str>,
}

/// A condition on the running version: `= x`, `!= x`, or `<`, `<=`, `>`, `>=` with a version in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionTest {
    how: How,
    than: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Is,
    IsNot,
    Below,
    AtMost,
    Above,
    AtLeast,
}

const HOWS: [(&str, How); 6] = [
    ("!=", How::IsNot),
    ("<=", How::AtMost),
    (">=", How::AtLeast),
    ("<", How::Below),
    (">", How::Above),
    ("=", How::Is),
];

impl TryFrom<String> for VersionTest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let trimmed = text.trim();
        let found = HOWS.iter().find_map(|(sign, how)| {
            let rest = trimmed.strip_prefix(sign)?;
            Some((*how, rest.trim()))
        });
        let (how, than) = found.unwrap_or((How::Is, trimmed));
        if than.is_empty() || than.len() > MAX_WORD {
            return Err(format!(
                "{text:?} is no condition on a version; write for example \"= 1.4.0\", \"!= 1.4.0\" or \"< 1.4.0\""
            ));
        }
        if !matches!(how, How::Is | How::IsNot) && Version::parse(than).is_none() {
            return Err(format!(
                "{than:?} cannot be compared: a version to compare with is made of numbers, for example 1.4.0"
            ));
        }
        Ok(Self {
            how,
            than: than.to_owned(),
        })
    }
}

impl From<VersionTest> for String {
    fn from(test: VersionTest) -> String {
        test.to_string()
    }
}

impl fmt::Display for VersionTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = HOWS
            .iter()
            .find(|(_, how)| *how == self.how)
            .map_or("=", |(sign, _)| sign);
        write!(f, "{sign} {}", self.than)
    }
}

impl VersionTest {
    /// Tells whether a running version passes. One that nobody knows passes `!=` only; one that is not made of numbers
    /// passes no comparison.
    pub fn passes(&self, running: Option<&str>) -> bool {
        let Some(running) = running else {
            return self.how == How::IsNot;
        };
        match self.how {
            How::Is => running == self.than,
            How::IsNot => running != self.than,
            how => {
                let Some((own, than)) = Version::parse(running).zip(Version::parse(&self.than))
                else {
                    return false;
                };
                let order = own.cmp(&than);
                match how {
                    How::Below => order == Ordering::Less,
                    How::AtMost => order != Ordering::Greater,
                    How::Above => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }
            }
        }
    }
}

/// A version in the way of semver.org, with one to four numbers.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    numbers: [u64; 4],
    /// What stands behind the `-`.
    pre: Option<&'a str>,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split('+').next()?;
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let mut numbers = [0; 4];
        for (place, part) in core.split('.').enumerate() {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            *numbers.get_mut(place)? = part.parse().ok()?;
        }
        Some(Self { numbers, pre })
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = || match (self.pre, other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => compare_pre(a, b),
        };
        self.numbers.cmp(&other.numbers).then_with(pre)
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn compare_pre(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let (x, y) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => (x, y),
        };
        let order = match (x.parse::<u64>(), y.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => x.cmp(y),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn has(list: &[Box<str>], wanted: &[String]) -> bool {
    list.iter().any(|own| wanted.iter().any(|w| **w == **own))
}

/// What a target holds, counted while it is checked.
#[derive(Default)]
struct Counted {
    nodes: usize,
    devices: usize,
}

impl Target {
    /// Tells whether a device is meant.
    pub fn means(&self, facts: &Facts<'_>) -> bool {
        let one_of = |words: &[String], own: Option<&str>| {
            own.is_some_and(|own| words.iter().any(|word| word == own))
        };
        match self {
            Target::Everything => true,
            Target::Devices(ids) => ids.binary_search(&facts.oid).is_ok(),
            Target::Groups(words) => has(facts.groups, words),
            Target::Tags(words) => has(facts.tags, words),
            Target::Kinds(words) => one_of(words, facts.kind),
            Target::Chips(words) => one_of(words, facts.chip),
            Target::Version(test) => test.passes(facts.version),
            Target::Name(part) => contains(facts.name, part),
            Target::And(all) => all.iter().all(|one| one.means(facts)),
            Target::Or(any) => any.iter().any(|one| one.means(facts)),
            Target::Not(one) => !one.means(facts),
        }
    }

    /// Checks a target that somebody wants to save, and puts it into the form that [`Target::means`] expects.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    pub fn check(&mut self) -> Result<(), String> {
        self.check_at(1, &mut Counted::default())
    }

    fn check_at(&mut self, depth: usize, counted: &mut Counted) -> Result<(), String> {
        counted.nodes += 1;
        if counted.nodes > MAX_NODES {
            return Err(format!("a target has at most {MAX_NODES} conditions"));
        }
        if depth > MAX_DEPTH {
            return Err(format!("a target is at most {MAX_DEPTH} levels deep"));
        }
        match self {
            Target::Everything | Target::Version(_) => Ok(()),
            Target::Devices(ids) => {
                ids.sort_unstable();
                ids.dedup();
                counted.devices += ids.len();
                match ids.len() {
                    0 => Err("name at least one device".to_owned()),
                    _ if counted.devices > MAX_DEVICES => Err(format!(
                        "a target names at most {MAX_DEVICES} devices; use a group or a tag"
                    )),
                    _ => Ok(()),
                }
            }
            Target::Groups(words) => check_words("group", words),
            Target::Tags(words) => check_words("tag", words),
            Target::Kinds(words) => check_words("kind", words),
            Target::Chips(words) => check_words("chip", words),
            Target::Name(part) => {
                // Kept in lower case, so that it is not lowered again for every device.
                *part = part.trim().to_lowercase();
                if part.is_empty() || part.len() > MAX_WORD {
                    return Err(format!("a part of a name has 1 to {MAX_WORD} bytes"));
                }
                Ok(())
            }
            Target::And(list) | Target::Or(list) => {
                if list.is_empty() {
                    return Err("`and` and `or` combine at least one condition".to_owned());
                }
                list.iter_mut()
                    .try_for_each(|one| one.check_at(depth + 1, counted))
            }
            Target::Not(one) => one.check_at(depth + 1, counted),
        }
    }
}

/// Tells whether a name contains a part that is in lower case.
fn contains(name: &str, part: &str) -> bool {
    if name.is_ascii() {
        let wanted = part.as_bytes();
        return name
            .as_bytes()
            .windows(wanted.len().max(1))
            .any(|found| found.eq_ignore_ascii_case(wanted));
    }
    name.to_lowercase().contains(part)
}

fn check_words(what: &str, words: &[String]) -> Result<(), String> {
    if words.is_empty() {
        return Err(format!("name at least one {what}"));
    }
    if words.len() > MAX_WORDS {
        return Err(format!("a condition names at most {MAX_WORDS} {what}s"));
    }
    match words
        .iter()
        .find(|word| word.is_empty() || word.len() > MAX_WORD)
    {
        Some(_) => Err(format!("a {what} has 1 to {MAX_WORD} bytes")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn target(value: Value) -> Target {
        let mut target: Target = serde_json::from_value(value).expect("a target");
        target.check().expect("a good target");
        target
    }

    fn meant(value: Value) -> bool {
        let groups = ["lab".into(), "north".into()];
        let tags = ["blue".into()];
        target(value).means(&Facts {
            oid: "0123456789abcdef01234567".parse().expect("an id"),
            name: "Plug 7",
            kind: Some("plug"),
            groups: &groups,
            tags: &tags,
            chip: Some("esp32c3"),
            version: Some("1.4.0"),
        })
    }

    #[test]
    fn conditions_and_their_combinations() {
        for yes in [
            json!("everything"),
            json!({"devices": ["ffffffffffffffffffffffff", "0123456789abcdef01234567"]}),
            json!({"groups": ["south", "north"]}),
            json!({"tags": ["blue"]}),
            json!({"kinds": ["plug"]}),
            json!({"chips": ["esp32c3", "esp32"]}),
            json!({"name": "LUG"}),
            json!({"version": "1.4.0"}),
            json!({"version": "< 1.10.0"}),
            json!({"version": ">=1.4"}),
            json!({"version": "> 1.4.0-rc.1"}),
            json!({"and": [{"kinds": ["plug"]}, {"not": {"tags": ["keep"]}}]}),
            json!({"or": [{"kinds": ["lamp"]}, {"groups": ["lab"]}]}),
        ] {
            assert!(meant(yes.clone()), "{yes}");
        }
        for no in [
            json!({"devices": ["ffffffffffffffffffffffff"]}),
            json!({"groups": ["la"]}),
            json!({"name": "plug 8"}),
            json!({"version": "!= 1.4.0"}),
            json!({"version": "< 1.4.0"}),
            json!({"not": "everything"}),
            json!({"and": ["everything", {"tags": ["red"]}]}),
        ] {
            assert!(!meant(no.clone()), "{no}");
        }
    }

    #[test]
    fn wrong_targets_are_refused_with_a_sentence() {
        for wrong in [
            json!({"devices": []}),
            json!({"groups": [""]}),
            json!({"and": []}),
            json!({"name": " "}),
            json!({"tags": vec!["x"; 101]}),
            json!({"or": vec!["everything"; 64]}),
            json!({"not":{"not":{"not":{"not":{"not":{"not":{"not":{"not":"everything"}}}}}}}}),
        ] {
            let mut parsed: Target =
                serde_json::from_value(wrong.clone()).expect("its shape is right");
            assert!(parsed.check().is_err(), "{wrong}");
        }
        for wrong in [
            json!("nothing"),
            json!({"version": "< spring"}),
            json!({"colour": ["red"]}),
            json!({"version": "="}),
        ] {
            assert!(
                serde_json::from_value::<Target>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_version_nobody_knows_passes_only_what_excludes() {
        let test = |text: &str| VersionTest::try_from(text.to_owned()).expect("a test");
        assert!(test("!= 1.0").passes(None));
        assert!(!test("= 1.0").passes(None));
        assert!(!test("< 9.0").passes(None));
        assert!(!test("< 9.0").passes(Some("spring")));
    }

    #[test]
    fn versions_are_ordered_as_semver_says() {
        let order = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2",
            "v1.10",
            "2",
            "2.0.0.1",
        ];
        for pair in order.windows(2) {
            let [a, b] = pair else {
                unreachable!("windows of two")
            };
            assert!(Version::parse(a) < Version::parse(b), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn a_test_reads_back_and_never_panics(text in ".{0,40}", running in ".{0,40}") {
            if let Ok(test) = VersionTest::try_from(text) {
                let again = VersionTest::try_from(String::from(test.clone()));
                prop_assert_eq!(again.as_ref(), Ok(&test));
                let _ = test.passes(Some(&running));
            }
        }
    }
}
