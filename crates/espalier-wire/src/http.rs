//! The bodies of the HTTP fallback for devices that cannot hold a socket. Paths, codes and headers are the server's.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /devices/{id}/telemetry` | [`TelemetryPost`] | 2xx: durable |
//! | `POST /devices/{id}/heartbeat` | [`HeartbeatPost`] | 2xx: heard |
//! | `GET /telemetry/latest?only=desired` | – | [`Latest`] without values, in parts |
//! | `GET /devices/{id}/commands/pending` | – | [`PendingCommands`] |
//! | `POST /devices/{id}/commands/{command}/result` | [`ResultPost`] | 2xx: noted |
//!
//! The answers to the two `GET` have at most [`crate::limits::MAX_DOWN_BYTES`]; what does not fit comes with the next ones. An older
//! server does not know `only` and answers with everything.
//!
//! The token travels as `Authorization: Bearer TOKEN`, or as `device_token` in a body for older firmware.

use core::fmt::{self, Write};

use crate::device::{
    Command, CommandResult, Expected, Heartbeat, Hello, StateMap, Telemetry, WireError, pick,
};
use crate::json::{Json, ObjectWriter, Secret, Text};

/// The body of a telemetry post: `{"device_token","data":{}}` or `{"device_token","samples":[{"ts","data"}]}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TelemetryPost<'a> {
    /// The device token, unless a header carries it.
    pub device_token: Option<Secret<'a>>,
    /// The values.
    pub telemetry: Telemetry<'a>,
    /// What the switches are now, as in the `reported` frame.
    pub reported: Option<StateMap<'a>>,
}

impl<'a> TelemetryPost<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// Says what is wrong with the body.
    pub fn parse(body: &'a str) -> Result<Self, WireError> {
        let f = pick(
            Json::parse(body)?,
            ["device_token", "ts", "data", "samples", "reported"],
        )?;
        Ok(TelemetryPost {
            device_token: f.text(0)?.map(Secret::new),
            telemetry: Telemetry::from_fields(&f, 1, 2, 3)?,
            reported: f.object(4)?.map(StateMap::check).transpose()?,
        })
    }

    /// Writes the body.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut m = ObjectWriter::begin(out)?;
        m.optional("device_token", self.device_token.map(Secret::expose))?;
        self.telemetry.write_members(&mut m)?;
        m.optional("reported", self.reported.map(StateMap::as_json))?;
        m.end()
    }
}

/// The body of a sign of life: what the `hello` and the `heartbeat` of a socket say, in one object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeartbeatPost<'a> {
    /// Who speaks and what it runs; its token is `device_token` in the body, and its `proto` is not written.
    pub hello: Hello<'a>,
    /// Its vital signs; no `id`, and the image is the one that `hello` names.
    pub heartbeat: Heartbeat<'a>,
}

impl<'a> HeartbeatPost<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// Says what is wrong with the body.
    pub fn parse(body: &'a str) -> Result<Self, WireError> {
        let json = Json::parse(body)?;
        let token = pick(json, ["device_token"])?.text(0)?;
        let said = Hello::parse(json)?;
        let hello = Hello {
            token: token.map(Secret::new).or(said.token),
            ..said
        };
        let heartbeat = Heartbeat::parse(json)?;
        Ok(HeartbeatPost { hello, heartbeat })
    }

    /// Writes the body.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut m = ObjectWriter::begin(out)?;
        m.optional("device_token", self.hello.token.map(Secret::expose))?;
        self.hello.write_members(&mut m)?;
        m.optional("boots", self.hello.boots.map(i64::from))?;
        self.heartbeat.write_members(&mut m)?;
        m.end()
    }
}

/// The answer of `GET /telemetry/latest`, as far as a device reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latest<'a> {
    /// The latest values; a desired value stands over the reported one until the device reports it.
    pub data: Json<'a>,
    /// The pending desired state with versions; absent on servers that know only values.
    pub desired: Option<StateMap<'a>>,
    /// The server's time in milliseconds UTC.
    pub time: Option<i64>,
}

impl<'a> Latest<'a> {
    /// Parses an answer.
    ///
    /// # Errors
    /// Says what is wrong with the answer.
    pub fn parse(body: &'a str) -> Result<Self, WireError> {
        let f = pick(Json::parse(body)?, ["data", "desired", "time"])?;
        Ok(Latest {
            data: f.object(0)?.unwrap_or(Json::EMPTY_OBJECT),
            desired: f.object(1)?.map(StateMap::check).transpose()?,
            time: f.int(2)?,
        })
    }
}

/// The answer of `GET /devices/{id}/commands/pending`: `{"commands":[{"id","name","params","expires_at"}]}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PendingCommands<'a>(Json<'a>);

impl<'a> PendingCommands<'a> {
    /// Parses an answer; a bare array of commands is understood too.
    ///
    /// # Errors
    /// Says what is wrong with the answer.
    pub fn parse(body: &'a str) -> Result<Self, WireError> {
        let json = Json::parse(body)?;
        let list = match json.elements() {
            Some(_) => json,
            None => pick(json, ["commands"])?
                .array(0)?
                .ok_or(WireError::Missing("commands"))?,
        };
        let mut elements = list
            .elements()
            .ok_or(WireError::Wrong("commands", Expected::Array))?;
        elements.try_for_each(|command| Command::parse(command).map(drop))?;
        Ok(PendingCommands(list))
    }

    /// Returns the commands, oldest first.
    pub fn iter(self) -> impl Iterator<Item = Command<'a>> {
        // `parse` has seen every element, so nothing is dropped here.
        self.0
            .elements()
            .into_iter()
            .flatten()
            .filter_map(|command| Command::parse(command).ok())
    }

    /// Writes the answer from commands.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write<'c>(
        commands: impl IntoIterator<Item = Command<'c>>,
        out: &mut impl Write,
    ) -> fmt::Result {
        let mut m = ObjectWriter::begin(out)?;
        let list = m.value_of("commands")?;
        list.write_char('[')?;
        for (i, command) in commands.into_iter().enumerate() {
            if i > 0 {
                list.write_char(',')?;
            }
            let mut object = ObjectWriter::begin(list)?;
            command.write_members(&mut object)?;
            object.end()?;
        }
        list.write_char(']')?;
        m.end()
    }
}

/// The body of a command result; the command's id stands in the path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResultPost<'a> {
    /// The device token, unless a header carries it.
    pub device_token: Option<Secret<'a>>,
    /// The outcome; `id` is not written and empty after parsing.
    pub result: CommandResult<'a>,
}

impl<'a> ResultPost<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// Says what is wrong with the body.
    pub fn parse(body: &'a str) -> Result<Self, WireError> {
        let f = pick(
            Json::parse(body)?,
            ["device_token", "ok", "result", "error"],
        )?;
        Ok(ResultPost {
            device_token: f.text(0)?.map(Secret::new),
            result: CommandResult {
                id: Text::new(""),
                ok: f.need_bool(1)?,
                result: f.raw(2).filter(|r| !r.is_null()),
                error: f.text(3)?,
            },
        })
    }

    /// Writes the body.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut m = ObjectWriter::begin(out)?;
        m.optional("device_token", self.device_token.map(Secret::expose))?;
        self.result.write_members(&mut m)?;
        m.end()
    }
}
