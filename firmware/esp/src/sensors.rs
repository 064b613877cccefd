//! The buses of sensors: the one wire of a DHT22, timed by the pulse receiver of the chip, and the I2C bus of a BME280. What the
//! bytes and pulses mean is in `espalier_device::parts`.

use core::cell::RefCell;
use core::fmt;

use embassy_time::{Duration, Timer};
use esp_hal::gpio::{DriveMode, Flex, InputConfig, Level, OutputConfig, Pull};
use esp_hal::i2c::master::{Config, I2c, SoftwareTimeout};
use esp_hal::peripherals::I2C0;
use esp_hal::rmt::{ChannelCreator, PulseCode, Rx, RxChannelConfig, RxChannelCreator};
use esp_hal::{Blocking, rmt};
use espalier_device::parts::bme280::{self, Bme280Error, Calibration};
use espalier_device::parts::dht22::{self, BITS, Dht22Error};
use espalier_device::profile::{Profile, Role};
use heapless::Vec;
use static_cell::StaticCell;

use crate::chip;
use crate::pins::gpio;

/// The receiver of pulses that the DHT22 uses.
pub type Receiver = ChannelCreator<'static, Blocking, { chip::RECEIVER }>;

/// The I2C bus. It is borrowed for one transfer at a time.
pub type Bus = &'static RefCell<I2c<'static, Blocking>>;

/// How long a transfer may take: somebody who holds the clock must not hold the firmware.
const TRANSFER: esp_hal::time::Duration = esp_hal::time::Duration::from_millis(100);

/// Takes the bus of the profile, when it names one and the driver starts. Call it once.
pub fn bus(profile: &Profile, peripheral: I2C0<'static>) -> Option<Bus> {
    static BUS: StaticCell<RefCell<I2c<'static, Blocking>>> = StaticCell::new();
    let (sda, scl) = (profile.pin(Role::I2cSda)?, profile.pin(Role::I2cScl)?);
    let config = Config::default().with_software_timeout(SoftwareTimeout::Transaction(TRANSFER));
    let bus = I2c::new(peripheral, config).ok()?;
    let bus = bus.with_sda(gpio(sda)).with_scl(gpio(scl));
    Some(BUS.init_with(|| RefCell::new(bus)))
}

/// A DHT22 on its pin.
pub struct Dht22 {
    pin: Flex<'static>,
    channel: rmt::Channel<'static, Blocking, Rx>,
}

impl Dht22 {
    /// Takes the pin of the profile, when it names one and the receiver starts.
    pub fn new(profile: &Profile, receiver: Receiver) -> Option<Self> {
        let mut pin = Flex::new(gpio(profile.pin(Role::Dht22)?));
        let wire = OutputConfig::default()
            .with_drive_mode(DriveMode::OpenDrain)
            .with_pull(Pull::Up);
        pin.apply_output_config(&wire);
        pin.apply_input_config(&InputConfig::default().with_pull(Pull::Up));
        pin.set_high();
        pin.set_output_enable(true);
        // Of 80 MHz: microseconds. After 200 of them without an edge the sensor has finished.
        let config = RxChannelConfig::default()
            .with_clk_divider(80)
            .with_filter_threshold(100)
            .with_idle_threshold(200);
        let channel = receiver.configure_rx(&config).ok()?;
        let channel = channel.with_pin(pin.peripheral_input());
        Some(Dht22 { pin, channel })
    }

    /// Asks the sensor. Not more often than every two seconds.
    ///
    /// # Errors
    /// Says why there is no reading.
    pub async fn read(&mut self) -> Result<dht22::Reading, Dht22Error> {
        self.pin.set_low();
        Timer::after(Duration::from_micros(1_200)).await;
        let mut codes = [PulseCode::default(); BITS + 4];
        let started = self.channel.reborrow().receive(&mut codes);
        self.pin.set_high();
        let Ok(mut receiving) = started else {
            return Err(Dht22Error::Silent);
        };
        // The whole answer takes 5 ms.
        let mut left = 12;
        while !receiving.poll() {
            if left == 0 {
                return Err(Dht22Error::Silent);
            }
            left -= 1;
            Timer::after(Duration::from_millis(1)).await;
        }
        match receiving.wait() {
            Ok((count, _)) => dht22::decode(&high_pulses(codes.get(..count).unwrap_or_default())),
            Err(_) => Err(Dht22Error::Silent),
        }
    }
}

/// Returns the lengths of the high pulses. The first one, before the sensor answers, is the line at rest and counts for nothing.
fn high_pulses(codes: &[PulseCode]) -> Vec<u16, { BITS + 6 }> {
    let halves = codes.iter().flat_map(|code| {
        [
            (code.level1(), code.length1()),
            (code.level2(), code.length2()),
        ]
    });
    let answered = halves.skip_while(|(level, _)| *level == Level::High);
    answered
        .filter(|(level, length)| *level == Level::High && *length > 0)
        .map(|(_, length)| length)
        .take(BITS + 6)
        .collect()
}

/// Why a BME280 has no reading.
#[derive(Debug, Clone, Copy)]
pub enum ClimateError {
    /// Nobody answers at either address.
    Silent,
    /// It answers, and what it says is no reading.
    Sensor(Bme280Error),
}

impl fmt::Display for ClimateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClimateError::Silent => {
                f.write_str("the BME280 does not answer: check its pins and power")
            }
            ClimateError::Sensor(error) => error.fmt(f),
        }
    }
}

impl From<Bme280Error> for ClimateError {
    fn from(error: Bme280Error) -> Self {
        ClimateError::Sensor(error)
    }
}

/// A BME280 on the I2C bus.
pub struct Bme280 {
    bus: Bus,
    /// Where it answered, and its constants.
    found: Option<(u8, Calibration)>,
}

impl Bme280 {
    /// Looks for the sensor on the bus when it is asked.
    pub const fn new(bus: Bus) -> Self {
        Bme280 { bus, found: None }
    }

    /// Measures once.
    ///
    /// # Errors
    /// Says why there is no reading; the next time the sensor is looked for again.
    pub async fn read(&mut self) -> Result<bme280::Reading, ClimateError> {
        let reading = self.measure().await;
        if reading.is_err() {
            self.found = None;
        }
        reading
    }

    async fn measure(&mut self) -> Result<bme280::Reading, ClimateError> {
        let (address, calibration) = match self.found.take() {
            Some(found) => found,
            None => self.find()?,
        };
        for (register, value) in bme280::MEASURE {
            self.bus
                .borrow_mut()
                .write(address, &[register, value])
                .map_err(|_| ClimateError::Silent)?;
        }
        Timer::after(Duration::from_millis(u64::from(bme280::MEASURE_MS))).await;
        let raw = self.registers(address, bme280::RAW.0)?;
        let reading = calibration.compensate(&raw)?;
        self.found = Some((address, calibration));
        Ok(reading)
    }

    fn find(&mut self) -> Result<(u8, Calibration), ClimateError> {
        let (register, id) = bme280::CHIP_ID;
        let address = bme280::ADDRESSES
            .into_iter()
            .find(|address| {
                self.registers::<1>(*address, register)
                    .is_ok_and(|[found]| found == id)
            })
            .ok_or(ClimateError::Silent)?;
        let first = self.registers(address, bme280::CALIBRATION_1.0)?;
        let second = self.registers(address, bme280::CALIBRATION_2.0)?;
        Ok((address, Calibration::read(&first, &second)?))
    }

    fn registers<const N: usize>(
        &mut self,
        address: u8,
        first: u8,
    ) -> Result<[u8; N], ClimateError> {
        let mut bytes = [0; N];
        self.bus
            .borrow_mut()
            .write_read(address, &[first], &mut bytes)
            .map_err(|_| ClimateError::Silent)?;
        Ok(bytes)
    }
}
