//! The pins of a board, taken by their number from its profile: what the station drives, and what people and sensors drive.

use esp_hal::Blocking;
#[cfg(feature = "outputs")]
use esp_hal::gpio::DriveMode;
use esp_hal::gpio::{AnyPin, Input, InputConfig, Level, Output, OutputConfig, Pull};
#[cfg(feature = "outputs")]
use esp_hal::ledc::channel::{self, ChannelIFace};
#[cfg(feature = "outputs")]
use esp_hal::ledc::timer::{self, TimerIFace};
#[cfg(feature = "outputs")]
use esp_hal::ledc::{LSGlobalClkSource, Ledc, LowSpeed};
#[cfg(feature = "outputs")]
use esp_hal::peripherals::LEDC;
use esp_hal::peripherals::RMT;
use esp_hal::rmt::{self, ChannelCreator, PulseCode, Rmt, TxChannelConfig, TxChannelCreator};
use esp_hal::time::Rate;
use espalier_device::node::StationInput;
use espalier_device::profile::{MAX_PINS, Pin, Profile, Role};
use heapless::Vec;
#[cfg(feature = "outputs")]
use static_cell::StaticCell;

use crate::chip;
use crate::desk::Desk;

/// How bright the coloured LED gets: at full it blinds.
const COLOUR_MAX: u32 = 48;
/// Levels from here on are high on a pin without PWM.
const HALF: u8 = 128;

/// Takes a pin of the profile.
pub fn gpio(pin: &Pin) -> AnyPin<'static> {
    // SAFETY: every pin of a checked profile exists on this chip and has one role, which takes it once.
    unsafe { AnyPin::steal(pin.gpio) }
}

/// What drives a pin.
enum Driver {
    Switch(Output<'static>),
    #[cfg(feature = "outputs")]
    Pwm(channel::Channel<'static, LowSpeed>),
    /// A WS2812. Its channel is away while it sends.
    Coloured(Option<rmt::Channel<'static, Blocking, rmt::Tx>>),
}

/// The pins that the station drives.
pub struct Outputs(Vec<(u8, Driver), MAX_PINS>);

impl Outputs {
    /// Takes the pins of a profile that can be driven. A pin whose driver does not start is left alone.
    pub fn new(
        profile: &Profile,
        #[cfg(feature = "outputs")] pwm: LEDC<'static>,
        mut pulses: Option<Transmitter>,
    ) -> Self {
        #[cfg(feature = "outputs")]
        let mut dimmer = Dimmer::new(pwm);
        let mut outputs = Vec::new();
        for pin in &profile.pins {
            let driver = match pin.role {
                #[cfg(feature = "outputs")]
                Role::Relay => Some(switch(pin)),
                Role::Led if profile.is_coloured(pin) => {
                    pulses.take().and_then(|pulses| coloured(pin, pulses))
                }
                // Without dimmer: on or off.
                #[cfg(not(feature = "outputs"))]
                Role::Led => Some(switch(pin)),
                #[cfg(feature = "outputs")]
                Role::Led | Role::ExternalLed | Role::Pwm => {
                    dimmer.as_mut().and_then(|dimmer| dimmer.take(pin))
                }
                _ => None,
            };
            if let Some(driver) = driver {
                // There is room: the list is as long as that of the profile.
                let _ = outputs.push((pin.gpio, driver));
            }
        }
        Outputs(outputs)
    }

    /// Drives a pin: 0 is low, 255 is high.
    pub fn set(&mut self, gpio: u8, level: u8) {
        let Some((_, driver)) = self.0.iter_mut().find(|(number, _)| *number == gpio) else {
            return;
        };
        match driver {
            Driver::Switch(pin) => pin.set_level((level >= HALF).into()),
            #[cfg(feature = "outputs")]
            Driver::Pwm(channel) => {
                // The duty is in range, and the timer was started with the channel.
                let _ = channel.set_duty((u16::from(level) * 100 / 255) as u8);
            }
            Driver::Coloured(channel) => {
                let level = (u32::from(level) * COLOUR_MAX / 255) as u8;
                *channel = channel.take().and_then(|channel| send(channel, level));
            }
        }
    }
}

/// Takes a pin that is on or off, and lets it be off.
fn switch(pin: &Pin) -> Driver {
    let off = if pin.inverted {
        Level::High
    } else {
        Level::Low
    };
    Driver::Switch(Output::new(gpio(pin), off, OutputConfig::default()))
}

/// Channels for brightness and speed, all of the same frequency.
#[cfg(feature = "outputs")]
struct Dimmer {
    ledc: Ledc<'static>,
    timer: &'static timer::Timer<'static, LowSpeed>,
    free: Vec<channel::Number, 6>,
}

#[cfg(feature = "outputs")]
impl Dimmer {
    fn new(pwm: LEDC<'static>) -> Option<Self> {
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
        use channel::Number::*;
        let free = Vec::from_array([Channel5, Channel4, Channel3, Channel2, Channel1, Channel0]);
        Some(Dimmer { ledc, timer, free })
    }

    fn take(&mut self, pin: &Pin) -> Option<Driver> {
        let mut channel = self.ledc.channel(self.free.pop()?, gpio(pin));
        channel
            .configure(channel::config::Config {
                timer: self.timer,
                duty_pct: if pin.inverted { 100 } else { 0 },
                drive_mode: DriveMode::PushPull,
            })
            .ok()?;
        Some(Driver::Pwm(channel))
    }
}

/// The transmitter of pulses that the coloured LED uses.
pub type Transmitter = ChannelCreator<'static, Blocking, 0>;

/// The chip's unit for pulses; neither side is there when it does not start.
pub struct Pulses {
    /// For the coloured LED.
    pub transmitter: Option<Transmitter>,
    /// For the DHT22.
    #[cfg(feature = "sensors")]
    pub receiver: Option<crate::sensors::Receiver>,
}

/// Starts the unit for pulses.
pub fn pulses(peripheral: RMT<'static>) -> Pulses {
    let (transmitter, receiver) = Rmt::new(peripheral, Rate::from_mhz(80))
        .ok()
        .map(|rmt| chip::pulses!(rmt))
        .unzip();
    #[cfg(not(feature = "sensors"))]
    let _ = receiver;
    Pulses {
        transmitter,
        #[cfg(feature = "sensors")]
        receiver,
    }
}

fn coloured(pin: &Pin, pulses: Transmitter) -> Option<Driver> {
    let config = TxChannelConfig::default()
        .with_clk_divider(1)
        .with_idle_output(true)
        .with_idle_output_level(Level::Low);
    let channel = pulses.configure_tx(&config).ok()?;
    Some(Driver::Coloured(Some(channel.with_pin(gpio(pin)))))
}

type Sender = rmt::Channel<'static, Blocking, rmt::Tx>;

/// Sends a brightness of green to a WS2812, which takes 30 µs: 24 bits, green first, in units of 12.5 ns.
fn send(channel: Sender, level: u8) -> Option<Sender> {
    let one = PulseCode::new(Level::High, 64, Level::Low, 36);
    let zero = PulseCode::new(Level::High, 32, Level::Low, 68);
    let mut codes = [zero; 25];
    for (n, code) in codes.iter_mut().take(8).enumerate() {
        if level & (0x80 >> n) != 0 {
            *code = one;
        }
    }
    let [.., last] = &mut codes;
    *last = PulseCode::end_marker();
    let sent = channel.transmit(&codes).map_err(|(_, channel)| channel);
    // A LED that takes no light stays as it is; nothing depends on it.
    match sent.map(|sending| sending.wait()) {
        Ok(Ok(channel) | Err((_, channel))) | Err(channel) => Some(channel),
    }
}

/// Takes a pin that a button pulls to ground, or that a sensor drives; nothing for other roles.
pub fn input(pin: &Pin) -> Option<Input<'static>> {
    let pull = match pin.role {
        Role::Button | Role::Trigger if pin.inverted => Pull::Down,
        Role::Button | Role::Trigger => Pull::Up,
        #[cfg(feature = "sensors")]
        Role::Pir => Pull::Down,
        _ => return None,
    };
    Some(Input::new(
        gpio(pin),
        InputConfig::default().with_pull(pull),
    ))
}

/// Tells the station the level of a pin, at once and whenever it changes.
#[embassy_executor::task(pool_size = 3)]
pub async fn watch(desk: &'static Desk, number: u8, mut pin: Input<'static>) {
    loop {
        let high = pin.is_high();
        desk.tell(StationInput::Pin { gpio: number, high });
        // A level that changed meanwhile is seen at once, unlike an edge.
        if high {
            pin.wait_for_low().await;
        } else {
            pin.wait_for_high().await;
        }
    }
}
