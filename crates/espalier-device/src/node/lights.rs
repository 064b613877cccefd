//! What the LEDs of a board show: the status, what a person must see, or the pattern that a person chose.

use crate::led::{Light, Pattern, SLOW_MS};
use crate::machine::Led;
use crate::profile::Pin;
use crate::update::UpdateState;
use crate::wifi::Status;

use super::Node;

/// A pin with a light, and what it was told.
#[derive(Debug)]
pub(super) struct Lit {
    gpio: u8,
    inverted: bool,
    told: Option<u8>,
}

impl Lit {
    pub fn new(pin: &Pin) -> Self {
        Lit {
            gpio: pin.gpio,
            inverted: pin.inverted,
            told: None,
        }
    }
}

/// How long a board shows which one it is, in milliseconds.
pub const IDENTIFY_MS: u64 = 8_000;

impl Node {
    /// Shows which board this is: three blinks again and again for [`IDENTIFY_MS`], fast ones in safe mode. Step and poll afterwards.
    pub fn identify(&mut self) {
        self.identify_until = self.clock.uptime().saturating_add(IDENTIFY_MS);
        self.show();
    }

    /// Tells the lamp how things are.
    pub(super) fn show(&mut self) {
        let loading = matches!(
            self.view.update,
            UpdateState::Loading { .. } | UpdateState::Written
        );
        let alarm = if self.clock.uptime() < self.identify_until {
            // Three blinks are what safe mode looks like.
            Some(if self.safe.is_safe() {
                Pattern::Fast
            } else {
                Pattern::Triple
            })
        } else if self.safe.is_safe() {
            Some(Pattern::Triple)
        } else if loading {
            Some(Pattern::On)
        } else if self.wifi.status() == Status::Portal {
            Some(Pattern::Fast)
        } else {
            None
        };
        self.lamp.alarm(alarm);
        let chosen = self
            .glow
            .chosen()
            .filter(|_| self.can.pattern && !self.safe.is_safe());
        self.lamp.choose(chosen);
        self.lamp.status(match (self.wifi.status(), self.view.led) {
            (Status::Unset, _) => Pattern::Slow(3_000),
            (Status::Searching | Status::Portal, _) => Pattern::Slow(SLOW_MS),
            (Status::Online, Led::Searching) => Pattern::Heartbeat,
            (Status::Online, Led::Refused) => Pattern::Fast,
            (Status::Online, Led::Steady) => Pattern::Spark,
            (Status::Online, Led::Off) => Pattern::Off,
        });
    }

    /// Returns the light of a pin that has to change.
    pub(super) fn next_light(&mut self) -> Option<(u8, u8)> {
        let uptime = self.clock.uptime();
        let status = self.lamp.light(uptime);
        let external = self.external_light(uptime);
        let mut next = None;
        for (lit, light) in [
            (&mut self.status_led, status),
            (&mut self.external_led, external),
        ] {
            if let Some(lit) = lit
                && next.is_none()
                && lit.told.replace(light.brightness) != Some(light.brightness)
            {
                let level = if lit.inverted {
                    255 - light.brightness
                } else {
                    light.brightness
                };
                next = Some((lit.gpio, level));
            }
        }
        next
    }

    /// The second LED shows nothing but the chosen pattern.
    pub(super) fn external_light(&self, uptime: u64) -> Light {
        let (pattern, brightness) = self
            .glow
            .chosen()
            .filter(|_| self.glow.external())
            .unwrap_or((Pattern::Off, 0));
        pattern.at(uptime, brightness)
    }
}
