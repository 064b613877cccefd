//! Answers of the portal, written piece by piece into a small buffer. Not what they say, which is `page.rs`'s.
//!
//! An answer is never held as a whole. Each piece writes all of it anew and keeps the window that was asked for: for a page of a
//! few kilobytes that is cheaper than the memory.

use core::fmt::{self, Write};

use heapless::Vec;

use super::page;
use crate::setup::seen::Known;
use crate::setup::{ADDRESS, MAX_SEEN, Notice, Setup};

/// What an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The page with the form.
    Page,
    /// The page that says that all is saved.
    Saved,
    /// The networks of the last scan, as JSON.
    Networks,
    /// Nothing but where to go.
    Elsewhere,
    /// One sentence.
    Sentence(&'static str),
}

/// What a page shows that changes by itself, as it was when the answer began: a scan that ends, or a network that is lost, must not
/// tear a page that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub seen: Vec<Known, MAX_SEEN>,
    pub notice: Notice,
    pub trouble: Option<&'static str>,
}

/// An answer that is being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) without_body: bool,
    pub(super) moment: Moment,
    /// Which settings and which form the page showed when the answer began.
    pub(super) shown: u32,
    /// Bytes of the body.
    pub(super) length: usize,
}

impl Answer {
    /// Returns the status.
    pub const fn status(&self) -> u16 {
        self.status
    }
}

/// Keeps the bytes of a text from one place on, as many as fit.
struct Window<'b> {
    skip: usize,
    into: &'b mut [u8],
    filled: usize,
}

impl Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let skipped = self.skip.min(text.len());
        self.skip -= skipped;
        let bytes = &text.as_bytes()[skipped..];
        let room = &mut self.into[self.filled..];
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        // Nothing more is kept.
        if count < bytes.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

/// Counts the bytes of a text.
struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        403 => "Forbidden",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

impl Setup {
    /// Begins an answer.
    pub(super) fn begin(&self, status: u16, content: Content, without_body: bool) -> Answer {
        let moment = self.moment(content);
        let mut count = Count(0);
        // Counting has room for everything.
        let _ = self.write_body(content, &moment, &mut count);
        Answer {
            status,
            content,
            without_body,
            moment,
            shown: self.shown,
            length: count.0,
        }
    }

    fn moment(&self, content: Content) -> Moment {
        let shows = matches!(content, Content::Page | Content::Networks);
        Moment {
            seen: if shows { self.seen.clone() } else { Vec::new() },
            notice: self.notice.clone(),
            trouble: self.trouble(),
        }
    }

    /// Writes the bytes of an answer from the place `from` on into a buffer, and returns how many; 0 at its end. Nothing when a
    /// person has changed the settings or sent a form meanwhile: close the connection, the browser asks again.
    pub fn answer(&self, answer: &Answer, from: usize, into: &mut [u8]) -> Option<usize> {
        if answer.shown != self.shown {
            return None;
        }
        let mut window = Window {
            skip: from,
            into,
            filled: 0,
        };
        // It fails where the window ends.
        let _ = self.write_answer(answer, &mut window);
        Some(window.filled)
    }

    fn write_answer(&self, answer: &Answer, out: &mut impl Write) -> fmt::Result {
        let kind = match answer.content {
            Content::Page | Content::Saved => "text/html; charset=utf-8",
            Content::Networks => "application/json",
            Content::Elsewhere | Content::Sentence(_) => "text/plain; charset=utf-8",
        };
        write!(
            out,
            "HTTP/1.1 {} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n",
            answer.status,
            phrase(answer.status),
            answer.length
        )?;
        if answer.content == Content::Elsewhere {
            let [a, b, c, d] = ADDRESS;
            write!(out, "Location: http://{a}.{b}.{c}.{d}/\r\n")?;
        }
        if answer.status == 405 {
            out.write_str("Allow: GET, HEAD, POST\r\n")?;
        }
        out.write_str(
            "Cache-Control: no-store\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n\r\n",
        )?;
        if answer.without_body {
            return Ok(());
        }
        self.write_body(answer.content, &answer.moment, out)
    }

    fn write_body(&self, content: Content, moment: &Moment, out: &mut impl Write) -> fmt::Result {
        match content {
            Content::Page => page::form(self, moment, out),
            Content::Saved => page::saved(self, out),
            Content::Networks => page::networks(&moment.seen, out),
            Content::Elsewhere => Ok(()),
            Content::Sentence(text) => writeln!(out, "{text}"),
        }
    }
}
