//! A reader of one HTTP/1.x request, byte by byte, that keeps only what the portal needs. Not a general one: no chunked bodies, no
//! second request on a connection, no headers beside those it knows.

use core::fmt;

use heapless::{String, Vec};

/// Longest target of a request, in bytes; longer ones lead to the portal like any other page.
pub const MAX_TARGET: usize = 256;
/// Most bytes of a request before its body.
pub const MAX_HEAD: usize = 8192;
/// Most bytes of a body.
pub const MAX_BODY: usize = 2048;
/// Milliseconds that a request may take, from the first byte of its connection to its last.
pub const REQUEST_TIMEOUT_MS: u64 = 10_000;
/// Bytes of a line that are kept: the longest request line, and more than enough of any header that matters.
const MAX_LINE: usize = MAX_TARGET + 32;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: as `GET`, without a body in the answer.
    Head,
    /// `POST`
    Post,
    /// Any other.
    Other,
}

/// Why a request gets no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP request.
    Malformed,
    /// It has another version than 1.0 and 1.1.
    Version,
    /// It has more than [`MAX_HEAD`] bytes before its body.
    HeadTooLong,
    /// Its body has more than [`MAX_BODY`] bytes.
    BodyTooLong,
    /// Its body is sent in a way that is not read here.
    Encoding,
    /// It took longer than [`REQUEST_TIMEOUT_MS`].
    TimedOut,
}

impl Refusal {
    /// Returns the status of the answer and its one sentence.
    pub const fn answer(self) -> (u16, &'static str) {
        match self {
            Refusal::Malformed => (400, "That was no HTTP request."),
            Refusal::Version => (505, "Use HTTP/1.1."),
            Refusal::HeadTooLong => (431, "The headers of the request are too long."),
            Refusal::BodyTooLong => (413, "The form is too long."),
            Refusal::Encoding => (
                415,
                "Send the form as application/x-www-form-urlencoded with a Content-Length.",
            ),
            Refusal::TimedOut => (408, "The request did not end in time."),
        }
    }
}

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Line,
    Headers,
    Body,
    Done,
}

/// Whom the request is addressed to, as its `Host` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Host {
    /// It does not say.
    #[default]
    None,
    /// An address of numbers.
    Number,
    /// A name, which leads here only because every name does.
    Name,
}

/// One request as it comes in. `Debug` hides its body, which may hold passwords.
pub struct Request {
    part: Part,
    refusal: Option<Refusal>,
    line: Vec<u8, MAX_LINE>,
    /// Whether the line is longer than what is kept of it.
    cut: bool,
    head: usize,
    method: Method,
    target: String<MAX_TARGET>,
    host: Host,
    /// The name or address of the host as the request has it.
    host_text: String<64>,
    origin: Option<String<80>>,
    form: bool,
    typed: bool,
    length: Option<usize>,
    body: Vec<u8, MAX_BODY>,
    since: Option<u64>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("refusal", &self.refusal)
            .field("whole", &self.is_whole())
            .finish_non_exhaustive()
    }
}

impl Default for Request {
    fn default() -> Self {
        Request {
            part: Part::Line,
            refusal: None,
            line: Vec::new(),
            cut: false,
            head: 0,
            method: Method::Other,
            target: String::new(),
            host: Host::None,
            host_text: String::new(),
            origin: None,
            form: false,
            typed: false,
            length: None,
            body: Vec::new(),
            since: None,
        }
    }
}

impl Request {
    /// Takes bytes of a connection at `now` milliseconds; returns whether the request is whole, or refused, so that it can be
    /// answered. What follows a whole request is ignored.
    pub fn feed(&mut self, now: u64, bytes: &[u8]) -> bool {
        self.since.get_or_insert(now);
        for byte in bytes {
            if self.is_whole() {
                return true;
            }
            match self.part {
                Part::Body => {
                    // Its length was checked.
                    let _ = self.body.push(*byte);
                    self.end_body();
                }
                _ => self.head_byte(*byte),
            }
        }
        self.tick(now)
    }

    /// Lets the time pass; returns whether the request can be answered.
    pub fn tick(&mut self, now: u64) -> bool {
        let since = *self.since.get_or_insert(now);
        if !self.is_whole() && now.saturating_sub(since) >= REQUEST_TIMEOUT_MS {
            self.refusal = Some(Refusal::TimedOut);
        }
        self.is_whole()
    }

    /// Says whether the request can be answered.
    pub fn is_whole(&self) -> bool {
        self.part == Part::Done || self.refusal.is_some()
    }

    /// Returns why it gets no page.
    pub const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Returns how it is made.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Returns the path, without a query.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    /// Returns whom it is addressed to.
    pub const fn host(&self) -> Host {
        self.host
    }

    /// Says whether a page from elsewhere makes the browser send it.
    pub fn is_foreign(&self) -> bool {
        let origin = self.origin.as_ref();
        origin.is_some_and(|o| o.strip_prefix("http://") != Some(&self.host_text))
    }

    /// Returns the body when it is a form.
    pub fn form(&self) -> Option<&[u8]> {
        (self.form || !self.typed).then_some(&self.body)
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    fn head_byte(&mut self, byte: u8) {
        self.head += 1;
        if self.head > MAX_HEAD {
            return self.refuse(Refusal::HeadTooLong);
        }
        if byte != b'\n' {
            self.cut |= self.line.push(byte).is_err();
            return;
        }
        let mut line = core::mem::take(&mut self.line);
        let cut = core::mem::take(&mut self.cut);
        if !cut && line.last() == Some(&b'\r') {
            line.pop();
        }
        match self.part {
            // Some clients send an empty line before their request.
            Part::Line if line.is_empty() => {}
            Part::Line => self.request_line(&line, cut),
            _ if line.is_empty() => self.end_head(),
            _ => self.header(&line, cut),
        }
    }

    fn request_line(&mut self, line: &[u8], cut: bool) {
        self.part = Part::Headers;
        let Ok(line) = core::str::from_utf8(line) else {
            return self.refuse(Refusal::Malformed);
        };
        let mut words = line.split(' ');
        self.method = match words.next() {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            Some(word) if !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase()) => {
                Method::Other
            }
            _ => return self.refuse(Refusal::Malformed),
        };
        let target = words.next().unwrap_or_default();
        if target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
            return self.refuse(Refusal::Malformed);
        }
        if cut {
            // A long address of some other page: it leads to the portal.
            return;
        }
        match (words.next(), words.next()) {
            (Some("HTTP/1.1" | "HTTP/1.0"), None) => {}
            (Some(version), None) if version.starts_with("HTTP/") => {
                return self.refuse(Refusal::Version);
            }
            _ => return self.refuse(Refusal::Malformed),
        }
        let path = match target.strip_prefix("http://") {
            Some(rest) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                self.addressed(host);
                path
            }
            None => target,
        };
        // What is too long is no path of ours.
        self.target = String::try_from(path).unwrap_or_default();
    }

    fn addressed(&mut self, host: &str) {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let number = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        self.host = if number { Host::Number } else { Host::Name };
        // A host that is too long is nobody's origin.
        self.host_text = String::try_from(host).unwrap_or_default();
    }

    fn header(&mut self, line: &[u8], cut: bool) {
        let Some(at) = line.iter().position(|b| *b == b':') else {
            return self.refuse(Refusal::Malformed);
        };
        let (name, value) = line.split_at(at);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // A space before the colon hides a header from some readers.
        if name.is_empty() || name.iter().any(|b| !b.is_ascii_graphic()) {
            return self.refuse(Refusal::Malformed);
        }
        let value = value[1..].trim_ascii();
        let text = core::str::from_utf8(value).unwrap_or("\u{0}");
        if is("content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            // Digits that are no number are too many.
            let length = text.parse().unwrap_or(usize::MAX);
            if !digits || cut || self.length.is_some_and(|known| known != length) {
                return self.refuse(Refusal::Malformed);
            }
            self.length = Some(length);
        } else if is("transfer-encoding") {
            self.refuse(Refusal::Encoding);
        } else if is("content-type") {
            self.typed = true;
            let kind = text.split(';').next().unwrap_or_default().trim();
            self.form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        } else if is("host") {
            self.addressed(text);
        } else if is("origin") {
            // One that is too long is not ours.
            self.origin = Some(String::try_from(text).unwrap_or_default());
        }
    }

    fn end_head(&mut self) {
        if self.length.is_some_and(|length| length > MAX_BODY) {
            return self.refuse(Refusal::BodyTooLong);
        }
        self.part = Part::Body;
        self.end_body();
    }

    fn end_body(&mut self) {
        if self.body.len() >= self.length.unwrap_or(0) {
            self.part = Part::Done;
        }
    }
}
