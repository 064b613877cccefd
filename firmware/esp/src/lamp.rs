//! The status LED: shows what the core's lamp says, on a plain LED through PWM or on the coloured one of Espressif's boards.

use embassy_futures::select::select;
use embassy_time::{Duration, Timer};
use esp_hal::gpio::{AnyPin, DriveMode, Level};
use esp_hal::ledc::channel::{self, ChannelIFace};
use esp_hal::ledc::timer::{self, TimerIFace};
use esp_hal::ledc::{LSGlobalClkSource, Ledc, LowSpeed};
use esp_hal::peripherals::{LEDC, RMT};
use esp_hal::rmt::{PulseCode, Rmt, TxChannelConfig, TxChannelCreator};
use esp_hal::time::Rate;
use esp_hal::{Async, rmt};
use espalier_device::profile::Pin;
use static_cell::StaticCell;

use crate::desk::{Desk, now_ms};

/// The coloured LED of Espressif's boards is always on this pin.
const COLOURED: u8 = 8;
/// How bright the coloured LED gets: at full it blinds.
const COLOUR_MAX: u32 = 48;
/// Longest time that the lamp sleeps.
const LONG: u64 = 3_600_000;

/// A LED.
pub enum Light {
    /// Brightness by PWM.
    Pwm(channel::Channel<'static, LowSpeed>, bool),
    /// A WS2812.
    Coloured(rmt::Channel<'static, Async, rmt::Tx>),
    /// None: the board has no LED, or its driver does not start.
    None,
}

impl Light {
    /// Takes the LED of a board.
    pub fn new(pin: Option<&Pin>, pwm: LEDC<'static>, pulses: RMT<'static>) -> Self {
        let Some(pin) = pin else {
            return Light::None;
        };
        // SAFETY: the profile was checked: the pin exists and has no other role.
        let gpio = unsafe { AnyPin::steal(pin.gpio) };
        let light = if pin.gpio == COLOURED && !pin.inverted {
            coloured(gpio, pulses)
        } else {
            plain(gpio, pwm, pin.inverted)
        };
        light.unwrap_or(Light::None)
    }

    async fn set(&mut self, brightness: u8) {
        match self {
            Light::None => {}
            Light::Pwm(channel, inverted) => {
                let percent = (u16::from(brightness) * 100 / 255) as u8;
                let percent = if *inverted { 100 - percent } else { percent };
                // The duty is in range and the timer runs.
                let _ = channel.set_duty(percent);
            }
            Light::Coloured(channel) => {
                let level = (u32::from(brightness) * COLOUR_MAX / 255) as u8;
                // A LED that takes no light stays dark; nothing depends on it.
                let _ = channel.transmit(&green(level)).await;
            }
        }
    }
}

fn plain(gpio: AnyPin<'static>, pwm: LEDC<'static>, inverted: bool) -> Option<Light> {
    static TIMER: StaticCell<timer::Timer<'static, LowSpeed>> = StaticCell::new();
    let mut ledc = Ledc::new(pwm);
    ledc.set_global_slow_clock(LSGlobalClkSource::APBClk);
    let timer = TIMER.init(ledc.timer::<LowSpeed>(timer::Number::Timer0));
    timer
        .configure(timer::config::Config {
            duty: timer::config::Duty::Duty10Bit,
            clock_source: timer::LSClockSource::APBClk,
            frequency: Rate::from_khz(5),
        })
        .ok()?;
    let mut channel = ledc.channel(channel::Number::Channel0, gpio);
    channel
        .configure(channel::config::Config {
            timer,
            duty_pct: if inverted { 100 } else { 0 },
            drive_mode: DriveMode::PushPull,
        })
        .ok()?;
    Some(Light::Pwm(channel, inverted))
}

fn coloured(gpio: AnyPin<'static>, pulses: RMT<'static>) -> Option<Light> {
    let rmt = Rmt::new(pulses, Rate::from_mhz(80)).ok()?.into_async();
    let config = TxChannelConfig::default()
        .with_clk_divider(1)
        .with_idle_output(true)
        .with_idle_output_level(Level::Low);
    let channel = rmt.channel0.configure_tx(&config).ok()?;
    Some(Light::Coloured(channel.with_pin(gpio)))
}

/// The pulses for a WS2812 in green: 24 bits, green first, in units of 12.5 ns.
fn green(level: u8) -> [PulseCode; 25] {
    let one = PulseCode::new(Level::High, 64, Level::Low, 36);
    let zero = PulseCode::new(Level::High, 32, Level::Low, 68);
    let mut codes = [zero; 25];
    for (n, code) in codes.iter_mut().take(8).enumerate() {
        if level & (0x80 >> n) != 0 {
            *code = one;
        }
    }
    codes[24] = PulseCode::end_marker();
    codes
}

/// Shows what the desk's lamp says.
#[embassy_executor::task]
pub async fn run(desk: &'static Desk, mut light: Light) {
    let mut shown = None;
    loop {
        let wanted = desk.lamp.borrow_mut().light(now_ms());
        if shown.replace(wanted.brightness) != Some(wanted.brightness) {
            light.set(wanted.brightness).await;
        }
        let rest = Duration::from_millis(wanted.for_ms.map_or(LONG, u64::from));
        select(desk.lamp_bell.wait(), Timer::after(rest)).await;
    }
}
