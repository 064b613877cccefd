//! The bus of the e-ink display: four wires of SPI, a reset and a busy line. What is said on it, and when, is in
//! `espalier_device::parts::eink` and `picture.rs`.

use core::cell::RefCell;

use embassy_time::{Duration, Instant, Timer};
use esp_hal::Blocking;
use esp_hal::gpio::{Input, InputConfig, Level, Output, OutputConfig, Pull};
use esp_hal::peripherals::SPI2;
use esp_hal::spi::master::{Config, Spi};
use esp_hal::time::Rate;
use espalier_device::parts::bmp::ROW;
use espalier_device::parts::eink::{self, NoDisplay, Step};
use espalier_device::profile::{Profile, Role};

use crate::pins::gpio;

/// How often the busy line is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long the display gets from power to its reset.
const POWER_MS: u64 = 20;

/// A display on its pins.
pub struct Panel {
    spi: Spi<'static, Blocking>,
    select: Output<'static>,
    /// Low for commands, high for data.
    data: Output<'static>,
    reset: Output<'static>,
    busy: Input<'static>,
    /// Held, so that the display keeps its power.
    _power: Option<Output<'static>>,
}

impl Panel {
    /// Takes the pins of the profile, when it names all of a display and the driver starts.
    pub fn new(profile: &Profile, bus: SPI2<'static>) -> Option<Self> {
        let pin = |role| profile.pin(role).map(gpio);
        let output =
            |role, level| pin(role).map(|pin| Output::new(pin, level, OutputConfig::default()));
        let (clock, sent, busy) = (pin(Role::EpdSck)?, pin(Role::EpdMosi)?, pin(Role::EpdBusy)?);
        // What every display of this kind takes; a picture of 48 kB needs a tenth of a second.
        let config = Config::default().with_frequency(Rate::from_mhz(4));
        let spi = Spi::new(bus, config).ok()?;
        Some(Panel {
            spi: spi.with_sck(clock).with_mosi(sent),
            select: output(Role::EpdCs, Level::High)?,
            data: output(Role::EpdDc, Level::High)?,
            reset: output(Role::EpdRst, Level::High)?,
            // A line that nobody drives is busy for ever: there is no display.
            busy: Input::new(busy, InputConfig::default().with_pull(Pull::Down)),
            _power: output(Role::EpdPower, Level::High),
        })
    }

    /// Sends the pixels of a row.
    pub fn send_row(&mut self, y: u16, pixels: &[u8; ROW]) {
        for step in eink::row_steps(y) {
            match step {
                Step::Send { command, data, len } => {
                    self.send(command, data.get(..usize::from(len)).unwrap_or_default());
                }
                Step::SendRow(command) => self.send(command, pixels),
                // A row needs no waiting.
                Step::Reset(_) | Step::WaitReady(_) => {}
            }
        }
    }

    fn send(&mut self, command: u8, data: &[u8]) {
        self.select.set_low();
        self.data.set_low();
        // The driver fails only when the bytes do not leave; the busy line tells whether the display has understood.
        let _ = self.spi.write(&[command]);
        self.data.set_high();
        if !data.is_empty() {
            let _ = self.spi.write(data);
        }
        self.select.set_high();
    }
}

/// Takes steps one after the other; the display is not borrowed while one waits.
///
/// # Errors
/// When the display stays busy.
pub async fn take(panel: &RefCell<Panel>, steps: &[Step]) -> Result<(), NoDisplay> {
    for step in steps {
        match *step {
            Step::Reset(ms) => {
                let pause = Duration::from_millis(u64::from(ms));
                Timer::after_millis(POWER_MS).await;
                panel.borrow_mut().reset.set_low();
                Timer::after(pause).await;
                panel.borrow_mut().reset.set_high();
                Timer::after(pause).await;
            }
            Step::Send { command, data, len } => {
                let data = data.get(..usize::from(len)).unwrap_or_default();
                panel.borrow_mut().send(command, data);
            }
            Step::WaitReady(ms) => ready(panel, Duration::from_millis(u64::from(ms))).await?,
            // Rows are sent as they come.
            Step::SendRow(_) => {}
        }
    }
    Ok(())
}

async fn ready(panel: &RefCell<Panel>, most: Duration) -> Result<(), NoDisplay> {
    let since = Instant::now();
    loop {
        // Some controllers need a moment until they show that they are busy.
        Timer::after(LOOK).await;
        if panel.borrow().busy.is_high() {
            return Ok(());
        }
        if since.elapsed() >= most {
            return Err(NoDisplay);
        }
    }
}
