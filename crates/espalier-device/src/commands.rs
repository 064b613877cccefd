//! Commands: each is run once, its result is kept until it is sent, and a repeated delivery gets the same answer again.
//! What a command does is the binding's business.

use espalier_wire::device::{Command, CommandResult};
use espalier_wire::json::{Json, Text, Value};
use heapless::{String, Vec};

/// Most commands that are waiting, running or remembered.
pub const MAX_COMMANDS: usize = 6;
/// Longest command id, in bytes.
pub const MAX_COMMAND_ID: usize = 64;
/// Longest command name, in bytes.
pub const MAX_COMMAND_NAME: usize = 48;
/// Longest parameters and result, in bytes of JSON.
pub const MAX_COMMAND_JSON: usize = 192;
/// Longest error text, in bytes; longer ones are cut.
pub const MAX_COMMAND_ERROR: usize = 96;

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    /// The result must be sent.
    Done,
    /// The result is in a request whose answer says whether the server has it.
    Posting,
    /// The result was handed to the transport.
    Sent,
}

#[derive(Debug)]
struct Slot {
    id: String<MAX_COMMAND_ID>,
    name: String<MAX_COMMAND_NAME>,
    /// The parameters, later the result.
    json: String<MAX_COMMAND_JSON>,
    error: String<MAX_COMMAND_ERROR>,
    ok: bool,
    expires_at: i64,
    phase: Phase,
}

/// The commands of a device, oldest first.
#[derive(Debug, Default)]
pub struct Commands {
    slots: Vec<Slot, MAX_COMMANDS>,
}

impl Commands {
    /// Takes a command; one that is known already is not run again. Returns false when it had to be ignored, because
    /// its id does not fit or too many others are unfinished: the server keeps it and delivers it again.
    pub fn take(&mut self, command: &Command<'_>) -> bool {
        if let Some(known) = self.slots.iter_mut().find(|s| command.id == s.id.as_str()) {
            if known.phase == Phase::Sent {
                known.phase = Phase::Done;
            }
            return true;
        }
        if self.slots.is_full() {
            match self.slots.iter().position(|s| s.phase == Phase::Sent) {
                Some(oldest) => drop(self.slots.remove(oldest)),
                None => return false,
            }
        }
        let Some(id) = copy(command.id) else {
            return false;
        };
        let mut slot = Slot {
            id,
            name: String::new(),
            json: String::new(),
            error: String::new(),
            ok: false,
            expires_at: command.expires_at,
            phase: Phase::Waiting,
        };
        match (
            copy(command.name),
            String::try_from(command.params.as_str()),
        ) {
            (Some(name), Ok(params)) => (slot.name, slot.json) = (name, params),
            _ => slot.fail("the command is too large for this device"),
        }
        self.slots.push(slot).is_ok()
    }

    /// Fails the waiting commands whose time is over, by the wall clock in milliseconds UTC.
    pub fn expire(&mut self, wall: i64) {
        for slot in self
            .slots
            .iter_mut()
            .filter(|s| s.phase == Phase::Waiting && wall > s.expires_at)
        {
            slot.fail("the command expired before it could run");
        }
    }

    /// Says whether a command waits to be run.
    pub fn has_to_run(&self) -> bool {
        self.slots.iter().any(|s| s.phase == Phase::Waiting)
    }

    /// Hands out the next command to run: its id, its name and its parameters.
    pub fn next_to_run(&mut self) -> Option<(&str, &str, Json<'_>)> {
        let slot = self.slots.iter_mut().find(|s| s.phase == Phase::Waiting)?;
        slot.phase = Phase::Running;
        Some((&slot.id, &slot.name, Json::parse(&slot.json).ok()?))
    }

    /// Notes how a running command ended.
    pub fn finished(&mut self, id: &str, outcome: Result<Option<Value<'_>>, &str>) {
        let Some(slot) = self
            .slots
            .iter_mut()
            .find(|s| s.id == id && s.phase == Phase::Running)
        else {
            return;
        };
        match outcome {
            Ok(result) => {
                slot.json.clear();
                slot.ok = result.is_none_or(|value| value.write_json(&mut slot.json).is_ok());
                slot.phase = Phase::Done;
                if !slot.ok {
                    slot.fail("the result does not fit into a message of this device");
                }
            }
            Err(error) => slot.fail(error),
        }
    }

    /// Hands out the next result to send on a socket.
    pub fn next_result(&mut self) -> Option<CommandResult<'_>> {
        self.hand_out(Phase::Sent)
    }

    /// Hands out the next result to send in a request; [`Commands::posted`] says what became of it.
    pub fn next_post(&mut self) -> Option<CommandResult<'_>> {
        self.hand_out(Phase::Posting)
    }

    /// Notes whether the result in the request needs no telling any more; otherwise it must be sent again.
    pub fn posted(&mut self, told: bool) {
        let posting = self.slots.iter_mut().find(|s| s.phase == Phase::Posting);
        if let Some(slot) = posting {
            slot.phase = if told { Phase::Sent } else { Phase::Done };
        }
    }

    fn hand_out(&mut self, phase: Phase) -> Option<CommandResult<'_>> {
        let slot = self.slots.iter_mut().find(|s| s.phase == Phase::Done)?;
        slot.phase = phase;
        Some(CommandResult {
            id: Text::new(&slot.id),
            ok: slot.ok,
            result: if slot.ok {
                Json::parse(&slot.json).ok()
            } else {
                None
            },
            error: if slot.ok {
                None
            } else {
                Some(Text::new(&slot.error))
            },
        })
    }

    /// Says whether a command waits, runs or must be answered.
    pub fn is_busy(&self) -> bool {
        self.slots.iter().any(|s| s.phase != Phase::Sent)
    }

    /// Says whether a result must be sent.
    pub fn result_due(&self) -> bool {
        self.slots.iter().any(|s| s.phase == Phase::Done)
    }
}

impl Slot {
    fn fail(&mut self, why: &str) {
        self.error.clear();
        for c in why.chars() {
            if self.error.push(c).is_err() {
                break;
            }
        }
        self.json.clear();
        self.ok = false;
        self.phase = Phase::Done;
    }
}

/// Copies a text, decoded, when it fits.
fn copy<const N: usize>(text: Text<'_>) -> Option<String<N>> {
    let mut out = String::new();
    text.chars().try_for_each(|c| out.push(c)).ok()?;
    Some(out)
}
