//! Reads Rust source just far enough to tell code from comments and literals, and to find functions and test modules.
//!
//! It is not a parser: it knows comments (nested), strings (plain, raw, byte, C), characters and lifetimes, and counts braces in
//! what remains. On source that the compiler accepts that is exact.

use std::ops::Range;

/// One source file, taken apart.
#[derive(Debug)]
pub struct Source {
    /// The text with every comment and the inside of every literal replaced by blanks; offsets and lines are those of the text.
    pub code: String,
    /// The string literals, in order.
    pub strings: Vec<Literal>,
}

/// The inside of a string literal, escapes as written.
#[derive(Debug, PartialEq)]
pub struct Literal {
    pub offset: usize,
    pub text: String,
}

/// A function with a body.
#[derive(Debug, PartialEq)]
pub struct Function {
    pub name: String,
    /// From the word `fn` to the closing brace.
    pub range: Range<usize>,
}

/// Takes a source text apart.
pub fn scan(text: &str) -> Source {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
        code: text.as_bytes().to_vec(),
        literals: Vec::new(),
    };
    scanner.run();
    let strings = scanner.literals.into_iter();
    let strings = strings.map(|range| Literal {
        offset: range.start,
        text: text[range].to_owned(),
    });
    let strings = strings.collect();
    let code = String::from_utf8_lossy(&scanner.code).into_owned();
    Source { code, strings }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    code: Vec<u8>,
    literals: Vec<Range<usize>>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(b"//") {
                let end = rest
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .unwrap_or(rest.len());
                self.blank_to(self.at + end);
            } else if rest.starts_with(b"/*") {
                self.blank_to(self.at + block_comment(rest));
            } else if let Some(hashes) = self.raw_string_here() {
                self.raw_string(hashes);
            } else if rest[0] == b'"' {
                self.string();
            } else if rest[0] == b'\'' {
                self.character_or_lifetime();
            } else {
                self.at += 1;
            }
        }
    }

    fn blank_to(&mut self, end: usize) {
        let end = end.min(self.bytes.len());
        for byte in &mut self.code[self.at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        self.at = end;
    }

    /// Returns the number of `#` when a raw string begins at an `r` that is not the end of a longer name.
    fn raw_string_here(&self) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        if rest[0] != b'r' {
            return None;
        }
        let before = |back: usize| self.at.checked_sub(back).map(|index| self.bytes[index]);
        let named = |byte: Option<u8>| byte.is_some_and(is_name);
        let prefixed = matches!(before(1), Some(b'b' | b'c')) && !named(before(2));
        if named(before(1)) && !prefixed {
            return None;
        }
        let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
        (rest.get(1 + hashes) == Some(&b'"')).then_some(hashes)
    }

    fn raw_string(&mut self, hashes: usize) {
        self.at += 1 + hashes + 1;
        let mut close = vec![b'"'];
        close.resize(1 + hashes, b'#');
        let rest = &self.bytes[self.at..];
        let length = rest
            .windows(close.len())
            .position(|window| window == close)
            .unwrap_or(rest.len());
        self.literal(self.at + length);
        self.at = (self.at + close.len()).min(self.bytes.len());
    }

    fn string(&mut self) {
        self.at += 1;
        let mut end = self.at;
        while end < self.bytes.len() && self.bytes[end] != b'"' {
            end += if self.bytes[end] == b'\\' { 2 } else { 1 };
        }
        self.literal(end.min(self.bytes.len()));
        self.at = (self.at + 1).min(self.bytes.len());
    }

    fn literal(&mut self, end: usize) {
        self.literals.push(self.at..end);
        self.blank_to(end);
    }

    fn character_or_lifetime(&mut self) {
        self.at += 1;
        let rest = &self.bytes[self.at..];
        match rest.first() {
            Some(b'\\') => {
                // The escaped character itself may be a quote.
                let close = rest
                    .iter()
                    .skip(2)
                    .position(|&byte| byte == b'\'')
                    .map_or(rest.len(), |found| found + 2);
                self.blank_to(self.at + close);
                self.at = (self.at + 1).min(self.bytes.len());
            }
            Some(&first) => {
                let width = match first {
                    0xf0.. => 4,
                    0xe0.. => 3,
                    0xc0.. => 2,
                    _ => 1,
                };
                if rest.get(width) == Some(&b'\'') {
                    self.blank_to(self.at + width);
                    self.at += 1;
                }
            }
            None => {}
        }
    }
}

/// Returns the length of the block comment at the start of the bytes, those inside it included.
fn block_comment(bytes: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

impl Source {
    /// Returns where a word stands alone, not as a part of a longer name.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let bytes = self.code.as_bytes();
        self.code
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(move |&at| {
                let open = at == 0 || !is_name(bytes[at - 1]);
                open && bytes
                    .get(at + word.len())
                    .is_none_or(|&byte| !is_name(byte))
            })
    }

    /// Returns the 1-based line of an offset.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.code.as_bytes()[..offset]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    /// Returns the number of lines that a range touches.
    pub fn lines_in(&self, range: &Range<usize>) -> usize {
        1 + self.code.as_bytes()[range.clone()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    /// Returns all functions that have a body, those inside other functions too.
    pub fn functions(&self) -> Vec<Function> {
        let bytes = self.code.as_bytes();
        let mut functions = Vec::new();
        for start in self.words("fn") {
            let name_at = start
                + 2
                + bytes[start + 2..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_whitespace())
                    .count();
            let name: String = self.code[name_at..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            // Without a name it is a pointer type.
            if name.is_empty() {
                continue;
            }
            if let Some(range) = body(bytes, name_at + name.len()) {
                functions.push(Function {
                    name,
                    range: start..range.end,
                });
            }
        }
        functions
    }

    /// Returns the modules with a body that only exist in tests.
    pub fn test_modules(&self) -> Vec<Range<usize>> {
        let bytes = self.code.as_bytes();
        let mut modules: Vec<Range<usize>> = Vec::new();
        for (start, _) in self.code.match_indices("#[cfg(") {
            let Some(attribute) = balanced(bytes, start + 1, b'[', b']') else {
                continue;
            };
            let condition = &self.code[start..attribute.end];
            let test = condition
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == "test");
            if !test || condition.contains("not(") {
                continue;
            }
            let rest = &self.code[attribute.end..];
            let header = rest.split(['{', ';']).next().unwrap_or("");
            let is_module = header.split_whitespace().any(|word| word == "mod");
            let brace = attribute.end + header.len();
            if is_module && bytes.get(brace) == Some(&b'{') {
                modules.extend(balanced(bytes, brace, b'{', b'}').map(|body| start..body.end));
            }
        }
        modules
    }
}

/// Returns the body that follows a function's name: the first brace outside parentheses and brackets, unless a `;` comes before it.
fn body(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let mut depth = 0usize;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return balanced(bytes, at, b'{', b'}'),
            _ => {}
        }
    }
    None
}

/// Returns the range from an opening byte to the one that closes it, both included.
fn balanced(bytes: &[u8], from: usize, open: u8, close: u8) -> Option<Range<usize>> {
    let mut depth = 0usize;
    for (at, &byte) in bytes.iter().enumerate().skip(from) {
        if byte == open {
            depth += 1;
        } else if byte == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(from..at + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::scan;

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "let a = \"{ // \\\" }\"; // { fn x() {\n/* { /* { */ */ let b = '{'; let c: &'static str = r#\"fn \"{\"#;";
        let source = scan(text);
        assert_eq!(source.code.len(), text.len());
        assert!(!source.code.contains('{'), "{}", source.code);
        assert!(source.code.contains("let b") && source.code.contains("'static str"));
        let strings: Vec<_> = source
            .strings
            .iter()
            .map(|literal| literal.text.as_str())
            .collect();
        assert_eq!(strings, ["{ // \\\" }", "fn \"{"]);
    }

    #[test]
    fn quotes_in_characters_open_no_string() {
        let source = scan(r#"f('"', '\'', b'"', '\\', '\u{7b}', 'ä', "x{")"#);
        assert!(!source.code.contains('{'), "{}", source.code);
        assert_eq!(source.strings.len(), 1);
    }

    #[test]
    fn prefixed_raw_strings_and_names_that_end_in_r() {
        let source = scan("br\"{\\\" ; r#type; var\"}\"; cr##\"\"#{\"##");
        let strings: Vec<_> = source
            .strings
            .iter()
            .map(|literal| literal.text.as_str())
            .collect();
        assert_eq!(strings, ["{\\", "}", "\"#{"]);
    }

    #[test]
    fn unfinished_input_does_not_panic() {
        for text in [
            "\"",
            "r#\"",
            "'",
            "'\\",
            "/*",
            "\"\\",
            "fn",
            "fn x(",
            "fn x() {",
            "#[cfg(",
            "#[cfg(test)] mod",
            "b'",
        ] {
            let source = scan(text);
            source.functions();
            source.test_modules();
        }
    }

    #[test]
    fn functions_are_measured_to_their_own_closing_brace() {
        let source = scan(
            "trait T {\n    fn declared(&self) -> [u8; 4];\n}\nfn outer(f: fn(u8) -> u8) -> [u8; 2] {\n    let s = \"}\";\n    fn inner() {}\n}\nstruct fnord {}\n",
        );
        let functions = source.functions();
        let names: Vec<_> = functions
            .iter()
            .map(|function| function.name.as_str())
            .collect();
        assert_eq!(names, ["outer", "inner"]);
        assert_eq!(source.lines_in(&functions[0].range), 4);
        assert_eq!(source.line(functions[0].range.start), 4);
        assert_eq!(source.lines_in(&functions[1].range), 1);
    }

    #[test]
    fn only_modules_of_tests_are_test_modules() {
        let source = scan(
            "#[cfg(test)]\n#[path = \"x\"]\nmod tests {\n    fn a() {}\n}\n#[cfg(not(test))]\nmod b {}\n#[cfg(test)]\nmod c;\n#[cfg(all(test, unix))]\npub mod d {}\n#[cfg(feature = \"test\")]\nmod e {}\n",
        );
        let modules = source.test_modules();
        let lines: Vec<_> = modules
            .iter()
            .map(|range| source.line(range.start))
            .collect();
        assert_eq!(lines, [1, 10]);
    }
}
