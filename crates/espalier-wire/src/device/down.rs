//! Frames from the server to the device.

use core::fmt::{self, Write};

use super::{StateMap, WireError, pick};
use crate::json::{Json, ObjectWriter, Text};

/// A frame from the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Down<'a> {
    /// The device is authenticated; the pending desired state follows.
    Welcome {
        /// The device's id, as the server names it.
        device_id: Text<'a>,
        /// The server's time in milliseconds UTC; the device sets its clock by it.
        time: i64,
        /// Seconds between heartbeats that the server wants.
        heartbeat_s: u32,
    },
    /// The telemetry, report or heartbeat with this id is durable.
    Ack {
        /// The id that the device chose.
        id: u32,
    },
    /// Something was refused.
    Error {
        /// The id of the refused message; absent when the frame had none.
        id: Option<u32>,
        /// One of [`crate::codes`].
        code: Text<'a>,
        /// One sentence for people.
        detail: Text<'a>,
        /// When to try again, in milliseconds; absent when trying again does not help.
        retry_after_ms: Option<u32>,
    },
    /// What the switches should be: the whole pending set after the welcome, later the changes. Both come in as many frames as it
    /// takes, each of at most [`crate::limits::MAX_DOWN_BYTES`].
    Desired {
        /// Key → value and version.
        state: StateMap<'a>,
    },
    /// Something to do once.
    Command(Command<'a>),
    /// There may be new firmware: ask with `GET /device/update` ([`crate::ota`]).
    Update,
    /// The answer to a ping.
    Pong {
        /// The server's time in milliseconds UTC, by which a device that stays connected for months keeps its clock; absent
        /// from older servers.
        time: Option<i64>,
    },
}

/// Something to do once, answered by a `command_result`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Command<'a> {
    /// The id that the result names.
    pub id: Text<'a>,
    /// What to do, for example `identify`.
    pub name: Text<'a>,
    /// An object of parameters; `{}` when absent.
    pub params: Json<'a>,
    /// When the command stops being wanted, in milliseconds UTC.
    pub expires_at: i64,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(json: Json<'a>) -> Result<Self, WireError> {
        let f = pick(json, ["id", "name", "params", "expires_at"])?;
        Ok(Command {
            id: f.need_text(0)?,
            name: f.need_text(1)?,
            params: f.object(2)?.unwrap_or(Json::EMPTY_OBJECT),
            expires_at: f.need_int(3)?,
        })
    }

    pub(crate) fn write_members<W: Write>(&self, m: &mut ObjectWriter<'_, W>) -> fmt::Result {
        m.member("id", self.id)?;
        m.member("name", self.name)?;
        m.member("params", self.params)?;
        m.member("expires_at", self.expires_at)
    }
}

impl<'a> Down<'a> {
    /// Parses one frame.
    ///
    /// # Errors
    /// Says what is wrong with the frame.
    pub fn parse(frame: &'a str) -> Result<Self, WireError> {
        let json = Json::parse(frame)?;
        let kind = pick(json, ["type"])?.need_text(0)?;
        match kind.as_plain() {
            Some("welcome") => {
                let f = pick(json, ["device_id", "time", "heartbeat_s"])?;
                Ok(Down::Welcome {
                    device_id: f.need_text(0)?,
                    time: f.need_int(1)?,
                    heartbeat_s: f.need_int(2)?,
                })
            }
            Some("ack") => Ok(Down::Ack {
                id: pick(json, ["id"])?.need_int(0)?,
            }),
            Some("error") => {
                let f = pick(json, ["id", "code", "detail", "retry_after_ms"])?;
                Ok(Down::Error {
                    id: f.int(0)?,
                    code: f.need_text(1)?,
                    detail: f.text(2)?.unwrap_or(Text::new("")),
                    retry_after_ms: f.int(3)?,
                })
            }
            Some("desired") => Ok(Down::Desired {
                state: StateMap::check(pick(json, ["state"])?.need_object(0)?)?,
            }),
            Some("command") => Command::parse(json).map(Down::Command),
            Some("update") => Ok(Down::Update),
            Some("pong") => Ok(Down::Pong {
                time: pick(json, ["time"])?.int(0)?,
            }),
            _ => Err(WireError::UnknownType),
        }
    }

    /// Writes the frame.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        match self {
            Down::Welcome {
                device_id,
                time,
                heartbeat_s,
            } => {
                let mut m = ObjectWriter::message(out, "welcome")?;
                m.member("device_id", *device_id)?;
                m.member("time", *time)?;
                m.number("heartbeat_s", u64::from(*heartbeat_s))?;
                m.end()
            }
            Down::Ack { id } => {
                let mut m = ObjectWriter::message(out, "ack")?;
                m.number("id", u64::from(*id))?;
                m.end()
            }
            Down::Error {
                id,
                code,
                detail,
                retry_after_ms,
            } => {
                let mut m = ObjectWriter::message(out, "error")?;
                m.optional("id", id.map(i64::from))?;
                m.member("code", *code)?;
                m.member("detail", *detail)?;
                m.optional("retry_after_ms", retry_after_ms.map(i64::from))?;
                m.end()
            }
            Down::Desired { state } => {
                let mut m = ObjectWriter::message(out, "desired")?;
                m.member("state", state.as_json())?;
                m.end()
            }
            Down::Command(command) => {
                let mut m = ObjectWriter::message(out, "command")?;
                command.write_members(&mut m)?;
                m.end()
            }
            Down::Update => ObjectWriter::message(out, "update")?.end(),
            Down::Pong { time } => {
                let mut m = ObjectWriter::message(out, "pong")?;
                m.optional("time", *time)?;
                m.end()
            }
        }
    }

    /// Returns the frame as a string.
    #[cfg(feature = "alloc")]
    pub fn to_json(&self) -> alloc::string::String {
        let mut out = alloc::string::String::new();
        // Writing into a `String` cannot fail, and no frame holds floats of its own.
        let _ = self.write(&mut out);
        out
    }
}
