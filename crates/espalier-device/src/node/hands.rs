//! What people do at the board: its button, its trigger, and what the motion sensor sees of them.

use crate::button::{Button, Press, Times};
use crate::led::Pattern;
use crate::parts::pir::{self, Pir};
use crate::profile::{Pin, Profile, Role};

use super::Capabilities;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    AskForUpdate,
    NextPage,
    Portal,
    FactoryReset,
    Motion(bool),
}

/// An input pin and its level.
#[derive(Debug)]
struct Line<M> {
    gpio: u8,
    inverted: bool,
    /// None until the binding has read it.
    high: Option<bool>,
    machine: M,
}

impl<M> Line<M> {
    fn new(pin: &Pin, machine: M) -> Self {
        Line {
            gpio: pin.gpio,
            inverted: pin.inverted,
            high: None,
            machine,
        }
    }
}

#[derive(Debug)]
pub(super) struct Hands {
    button: Option<Line<Button>>,
    trigger: Option<Line<Button>>,
    pir: Option<Line<Pir>>,
    /// What a short press of the button means.
    short: Option<Wish>,
    feedback: Option<Pattern>,
}

impl Hands {
    pub fn new(profile: &Profile, can: Capabilities, safe: bool) -> Self {
        let button = |role| {
            profile
                .pin(role)
                .map(|pin| Line::new(pin, Button::new(Times::default())))
        };
        let trigger = button(Role::Trigger).filter(|_| can.trigger);
        let pir = profile.pin(Role::Pir).filter(|_| can.sensors && !safe);
        let short = if can.screen && profile.pin(Role::EpdCs).is_some() {
            Some(Wish::NextPage)
        } else {
            (can.trigger && trigger.is_none()).then_some(Wish::AskForUpdate)
        };
        Hands {
            button: button(Role::Button),
            trigger,
            pir: pir.map(|pin| Line::new(pin, Pir::new(pir::Times::default()))),
            short,
            feedback: None,
        }
    }

    /// Notes the level of a pin.
    pub fn level(&mut self, gpio: u8, high: bool) {
        for line in [&mut self.button, &mut self.trigger].into_iter().flatten() {
            if line.gpio == gpio {
                line.high = Some(high);
            }
        }
        if let Some(line) = self.pir.as_mut().filter(|line| line.gpio == gpio) {
            line.high = Some(high);
        }
    }

    /// Returns what is wanted at `now`; call it until it returns none.
    pub fn step(&mut self, now: u64) -> Option<Wish> {
        while let Some(press) = self.button.as_mut().and_then(|line| pressed(line, now)) {
            match press {
                Press::Down => self.feedback = Some(Pattern::On),
                Press::LongReached => self.feedback = Some(Pattern::Slow(150)),
                Press::Warning => self.feedback = Some(Pattern::Fast),
                Press::Cancelled => self.feedback = None,
                Press::Short => {
                    self.feedback = None;
                    if self.short.is_some() {
                        return self.short;
                    }
                }
                Press::Long => {
                    self.feedback = None;
                    return Some(Wish::Portal);
                }
                Press::FactoryReset => {
                    self.feedback = None;
                    return Some(Wish::FactoryReset);
                }
            }
        }
        while let Some(press) = self.trigger.as_mut().and_then(|line| pressed(line, now)) {
            // However long it is held, a trigger only triggers.
            match press {
                Press::Down => self.feedback = Some(Pattern::On),
                Press::LongReached | Press::Warning => {}
                Press::Short | Press::Long | Press::Cancelled | Press::FactoryReset => {
                    self.feedback = None;
                    return Some(Wish::AskForUpdate);
                }
            }
        }
        let line = self.pir.as_mut()?;
        let high = line.high? != line.inverted;
        line.machine.step(now, high).map(Wish::Motion)
    }

    /// Returns what the LED shows while a finger is on a button.
    pub const fn feedback(&self) -> Option<Pattern> {
        self.feedback
    }

    pub fn motion(&self) -> Option<bool> {
        self.pir.as_ref()?.machine.motion()
    }

    /// Returns when [`Hands::step`] must be called again.
    pub fn due(&self) -> u64 {
        let buttons = [&self.button, &self.trigger].into_iter().flatten();
        let buttons = buttons
            .filter(|line| line.high.is_some())
            .map(|line| line.machine.due());
        let pir = self
            .pir
            .iter()
            .filter(|line| line.high.is_some())
            .map(|line| line.machine.due());
        buttons.chain(pir).min().unwrap_or(u64::MAX)
    }
}

/// A button pulls its line to ground, unless the profile says otherwise.
fn pressed(line: &mut Line<Button>, now: u64) -> Option<Press> {
    let down = line.high? == line.inverted;
    line.machine.step(now, down)
}
