//! Frames from the device to the server.

use core::fmt::{self, Write};

use super::{StateMap, Telemetry, WireError, pick};
use crate::json::{Json, ObjectWriter, Secret, Text};

/// A frame from the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Up<'a> {
    /// The first frame: who speaks, and what it runs.
    Hello(Hello<'a>),
    /// Measured values; acknowledged with the same id once they are durable.
    Telemetry {
        /// Chosen by the device; returns in the acknowledgement. Sending an unacknowledged id again is harmless.
        id: u32,
        /// The values.
        telemetry: Telemetry<'a>,
    },
    /// What the device's switches are now; acknowledged like telemetry.
    Reported {
        /// As in telemetry; the ids share one space.
        id: u32,
        /// Key → value and the desired version that it answers (0: changed at the device).
        state: StateMap<'a>,
    },
    /// A sign of life with vital signs.
    Heartbeat(Heartbeat<'a>),
    /// The outcome of a command.
    CommandResult(CommandResult<'a>),
    /// Asks for a pong.
    Ping,
}

/// The first frame of a device.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hello<'a> {
    /// The device token, unless the handshake carried it.
    pub token: Option<Secret<'a>>,
    /// Protocol version; 1 when absent.
    pub proto: u32,
    /// What runs on the device.
    pub firmware: Option<Firmware<'a>>,
    /// Chip name, for example `esp32c3`.
    pub chip: Option<Text<'a>>,
    /// Board name, for example `weather`.
    pub board: Option<Text<'a>>,
    /// How often the device means to be heard, in seconds; the server derives presence from it.
    pub expected_interval_s: Option<u32>,
    /// Why the device started last, for example `power_on` or `panic`.
    pub boot_reason: Option<Text<'a>>,
    /// How often the device has started in its life: what a crash loop is seen by.
    pub boots: Option<u32>,
}

/// The firmware that runs on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firmware<'a> {
    /// Version text.
    pub version: Text<'a>,
    /// SHA-256 of the image, 64 hexadecimal digits.
    pub sha256: Option<Text<'a>>,
    /// Whether it runs on trial: it has not confirmed itself yet.
    pub trial: bool,
}

/// Vital signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heartbeat<'a> {
    /// Asks for an acknowledgement when present.
    pub id: Option<u32>,
    /// Seconds since the device started.
    pub uptime_s: u64,
    /// Free heap in bytes.
    pub heap_free: Option<u32>,
    /// Wi-Fi signal strength in dBm.
    pub rssi: Option<i32>,
    /// Why the device started last, for example `power_on`.
    pub boot_reason: Option<Text<'a>>,
    /// SHA-256 of the image that runs, 64 hexadecimal digits.
    pub sha256: Option<Text<'a>>,
}

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommandResult<'a> {
    /// The id of the command.
    pub id: Text<'a>,
    /// Whether it succeeded.
    pub ok: bool,
    /// What it returned.
    pub result: Option<Json<'a>>,
    /// Why it failed, in one sentence.
    pub error: Option<Text<'a>>,
}

impl<'a> Up<'a> {
    /// Parses one frame.
    ///
    /// # Errors
    /// Says what is wrong with the frame; [`Up::peek_id`] tells which message to refuse.
    pub fn parse(frame: &'a str) -> Result<Self, WireError> {
        let json = Json::parse(frame)?;
        let kind = pick(json, ["type"])?.need_text(0)?;
        match kind.as_plain() {
            Some("hello") => Hello::parse(json).map(Up::Hello),
            Some("telemetry") => {
                let f = pick(json, ["id", "ts", "data", "samples"])?;
                Ok(Up::Telemetry {
                    id: f.need_int(0)?,
                    telemetry: Telemetry::from_fields(&f, 1, 2, 3)?,
                })
            }
            Some("reported") => {
                let f = pick(json, ["id", "state"])?;
                Ok(Up::Reported {
                    id: f.need_int(0)?,
                    state: StateMap::check(f.need_object(1)?)?,
                })
            }
            Some("heartbeat") => Heartbeat::parse(json).map(Up::Heartbeat),
            Some("command_result") => CommandResult::parse(json).map(Up::CommandResult),
            Some("ping") => Ok(Up::Ping),
            _ => Err(WireError::UnknownType),
        }
    }

    /// Returns the numeric `id` of a frame, also of one that [`Up::parse`] refuses, so that the error can name it.
    pub fn peek_id(frame: &str) -> Option<u32> {
        let id = Json::parse(frame)
            .ok()?
            .members()?
            .find(|(name, _)| *name == "id")?
            .1;
        u32::try_from(id.as_i64()?).ok()
    }

    /// Writes the frame.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        match self {
            Up::Hello(hello) => hello.write(out),
            Up::Telemetry { id, telemetry } => {
                let mut m = ObjectWriter::message(out, "telemetry")?;
                m.number("id", u64::from(*id))?;
                telemetry.write_members(&mut m)?;
                m.end()
            }
            Up::Reported { id, state } => {
                let mut m = ObjectWriter::message(out, "reported")?;
                m.number("id", u64::from(*id))?;
                m.member("state", state.as_json())?;
                m.end()
            }
            Up::Heartbeat(heartbeat) => heartbeat.write(out),
            Up::CommandResult(result) => {
                let mut m = ObjectWriter::message(out, "command_result")?;
                m.member("id", result.id)?;
                result.write_members(&mut m)?;
                m.end()
            }
            Up::Ping => ObjectWriter::message(out, "ping")?.end(),
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

impl<'a> Hello<'a> {
    pub(crate) fn parse(json: Json<'a>) -> Result<Self, WireError> {
        let f = pick(
            json,
            [
                "token",
                "proto",
                "firmware",
                "chip",
                "board",
                "expected_interval_s",
                "boot_reason",
                "boots",
            ],
        )?;
        let firmware = match f.object(2)? {
            Some(object) => {
                let inner = pick(object, ["version", "sha256", "trial"])?;
                Some(Firmware {
                    version: inner.need_text(0)?,
                    sha256: inner.text(1)?,
                    trial: inner.bool(2)?.unwrap_or(false),
                })
            }
            None => None,
        };
        Ok(Hello {
            token: f.text(0)?.map(Secret::new),
            proto: f.int(1)?.unwrap_or(1),
            firmware,
            chip: f.text(3)?,
            board: f.text(4)?,
            expected_interval_s: f.int(5)?,
            boot_reason: f.text(6)?,
            boots: f.int(7)?,
        })
    }

    fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut m = ObjectWriter::message(out, "hello")?;
        m.optional("token", self.token.map(Secret::expose))?;
        m.number("proto", u64::from(self.proto))?;
        self.write_members(&mut m)?;
        m.optional("boot_reason", self.boot_reason)?;
        m.optional("boots", self.boots.map(i64::from))?;
        m.end()
    }

    /// Writes everything but the token, the protocol and how it started.
    pub(crate) fn write_members<W: Write>(&self, m: &mut ObjectWriter<'_, W>) -> fmt::Result {
        if let Some(firmware) = &self.firmware {
            let mut inner = ObjectWriter::begin(m.value_of("firmware")?)?;
            inner.member("version", firmware.version)?;
            inner.optional("sha256", firmware.sha256)?;
            inner.optional("trial", firmware.trial.then_some(true))?;
            inner.end()?;
        }
        m.optional("chip", self.chip)?;
        m.optional("board", self.board)?;
        m.optional(
            "expected_interval_s",
            self.expected_interval_s.map(i64::from),
        )
    }
}

impl<'a> Heartbeat<'a> {
    pub(crate) fn parse(json: Json<'a>) -> Result<Self, WireError> {
        let f = pick(
            json,
            [
                "id",
                "uptime_s",
                "heap_free",
                "rssi",
                "boot_reason",
                "sha256",
            ],
        )?;
        Ok(Heartbeat {
            id: f.int(0)?,
            uptime_s: f.need_int(1)?,
            heap_free: f.int(2)?,
            rssi: f.int(3)?,
            boot_reason: f.text(4)?,
            sha256: f.text(5)?,
        })
    }

    fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut m = ObjectWriter::message(out, "heartbeat")?;
        m.optional("id", self.id.map(i64::from))?;
        self.write_members(&mut m)?;
        m.end()
    }

    /// Writes everything but the id.
    pub(crate) fn write_members<W: Write>(&self, m: &mut ObjectWriter<'_, W>) -> fmt::Result {
        m.number("uptime_s", self.uptime_s)?;
        m.optional("heap_free", self.heap_free.map(i64::from))?;
        m.optional("rssi", self.rssi.map(i64::from))?;
        m.optional("boot_reason", self.boot_reason)?;
        m.optional("sha256", self.sha256)
    }
}

impl<'a> CommandResult<'a> {
    fn parse(json: Json<'a>) -> Result<Self, WireError> {
        let f = pick(json, ["id", "ok", "result", "error"])?;
        Ok(CommandResult {
            id: f.need_text(0)?,
            ok: f.need_bool(1)?,
            result: f.raw(2).filter(|r| !r.is_null()),
            error: f.text(3)?,
        })
    }

    /// Writes everything but the id, which the HTTP form carries in its path.
    pub(crate) fn write_members<W: Write>(&self, m: &mut ObjectWriter<'_, W>) -> fmt::Result {
        m.member("ok", self.ok)?;
        m.optional("result", self.result)?;
        m.optional("error", self.error)
    }
}
