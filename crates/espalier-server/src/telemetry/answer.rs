//! What devices get back: small JSON texts, written straight into their buffer.
//!
//! Small boards parse these into two kilobytes or less, so nothing goes in that the contract does not name, and
//! derived values only when asked for.

use super::latest::Entry;
use super::values::{write, write_int, write_text};
use crate::clock::iso;
use crate::control::Desired;
use crate::devices::Device;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use espalier_model::Oid;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Write;

/// A JSON object being written.
pub struct Answer {
    out: Vec<u8>,
}

impl Answer {
    /// Opens the object.
    pub fn new() -> Self {
        let mut out = Vec::with_capacity(256);
        out.push(b'{');
        Self { out }
    }

    /// Writes a name and returns the buffer for its value.
    pub fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        write_text(&mut self.out, name);
        self.out.push(b':');
        &mut self.out
    }

    /// Writes a text.
    pub fn text(&mut self, name: &str, text: &str) {
        write_text(self.name(name), text);
    }

    /// Writes the wire id of a device.
    pub fn device(&mut self, device: &Device) {
        self.oid("device_id", device.oid);
    }

    fn oid(&mut self, name: &str, oid: Oid) {
        let _ = write!(self.name(name), "\"{oid}\"");
    }

    /// Writes an integer.
    pub fn int(&mut self, name: &str, number: i64) {
        write_int(self.name(name), number);
    }

    /// Writes a moment as ISO, or `null`.
    pub fn moment(&mut self, name: &str, ts: Option<i64>) {
        match ts {
            Some(ts) => self.text(name, &iso(ts)),
            None => self.name(name).extend_from_slice(b"null"),
        }
    }

    /// Writes a document.
    pub fn document(&mut self, name: &str, value: &impl serde::Serialize) {
        let _ = serde_json::to_writer(self.name(name), value);
    }

    /// Writes the state of a device: what it reported, and over it what it should be and has not reported yet.
    pub fn state(&mut self, name: &str, entries: &[Entry], pending: &BTreeMap<String, Desired>) {
        let out = self.name(name);
        out.push(b'{');
        let mut first = true;
        let mut comma = |out: &mut Vec<u8>| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
        };
        let mut pending = pending.iter().peekable();
        // Both are sorted by key, so one walk merges them.
        for entry in entries {
            while let Some((key, desired)) = pending.next_if(|(key, _)| ***key < *entry.key) {
                comma(out);
                write_desired(out, key, &desired.value);
            }
            comma(out);
            match pending.next_if(|(key, _)| ***key == *entry.key) {
                Some((key, desired)) => write_desired(out, key, &desired.value),
                None => {
                    write_text(out, &entry.key);
                    out.push(b':');
                    write(out, &entry.value);
                }
            }
        }
        for (key, desired) in pending {
            comma(out);
            write_desired(out, key, &desired.value);
        }
        out.push(b'}');
    }

    /// Writes what a device should be, with versions, as the device socket does: `{key: {value, version}}`.
    pub fn desired(&mut self, name: &str, pending: &BTreeMap<String, Desired>) {
        let map: serde_json::Map<String, Json> = pending
            .iter()
            .map(|(key, desired)| {
                let entry = serde_json::json!({"value": desired.value, "version": desired.version});
                (key.clone(), entry)
            })
            .collect();
        self.document(name, &map);
    }

    /// Closes the object and makes the response.
    pub fn respond(mut self) -> Response {
        self.out.push(b'}');
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind)], self.out).into_response()
    }
}

fn write_desired(out: &mut Vec<u8>, key: &str, value: &Json) {
    write_text(out, key);
    out.push(b':');
    let _ = serde_json::to_writer(&mut *out, value);
}
