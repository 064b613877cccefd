//! What a board measures: its sensors by profile, and its own vital signs. A sensor that does not answer adds no value, and the
//! serial port says why.

use embassy_time::{Duration, Instant};
use esp_hal::peripherals::I2C0;
use esp_println::println;
use espalier_board::Sample;
use espalier_device::parts::dht22::MIN_INTERVAL_MS;
use espalier_wire::json::Value;

use crate::desk::{Desk, now_ms};
use crate::sensors::{Bme280, Dht22, Receiver};

/// Every so many samples the board adds its own vital signs.
const VITALS_EVERY: u32 = 6;

/// The sensors of a board.
pub struct Things {
    desk: &'static Desk,
    samples: u32,
    dht22: Option<Dht22>,
    dht22_at: Option<Instant>,
    bme280: Option<Bme280>,
}

impl Things {
    /// Takes the sensors that the profile names, when this firmware reads sensors and is not in safe mode.
    pub fn new(desk: &'static Desk, receiver: Option<Receiver>, bus: I2C0<'static>) -> Self {
        let sensors = {
            let mut station = desk.station.borrow_mut();
            let node = station.node();
            node.capabilities().sensors && !node.is_safe()
        };
        let profile = Some(&desk.profile).filter(|_| sensors);
        Things {
            desk,
            samples: 0,
            dht22: profile
                .zip(receiver)
                .and_then(|(profile, receiver)| Dht22::new(profile, receiver)),
            dht22_at: None,
            bme280: profile.and_then(|profile| Bme280::new(profile, bus)),
        }
    }

    /// Adds what is measured.
    pub async fn measure(&mut self, sample: &mut Sample) {
        self.climate(sample).await;
        let motion = self.desk.station.borrow_mut().node().motion();
        if let Some(motion) = motion {
            sample.add("motion", Value::Bool(motion));
        }
        if self.samples.is_multiple_of(VITALS_EVERY) {
            self.add_vitals(sample);
        }
        self.samples = self.samples.wrapping_add(1);
    }

    /// The BME280 is the better one; a DHT22 beside it is not asked for what is known already.
    async fn climate(&mut self, sample: &mut Sample) {
        if let Some(sensor) = &mut self.bme280 {
            match sensor.read().await {
                Ok(reading) => {
                    sample.add("temperature", Value::Float(reading.temperature()));
                    sample.add("humidity", Value::Float(reading.humidity()));
                    sample.add("pressure", Value::Float(reading.pressure()));
                    return;
                }
                Err(error) => println!("espalier: {error}"),
            }
        }
        let Some(sensor) = &mut self.dht22 else {
            return;
        };
        let pause = Duration::from_millis(MIN_INTERVAL_MS);
        if self.dht22_at.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        let reading = sensor.read().await;
        self.dht22_at = Some(Instant::now());
        match reading {
            Ok(reading) => {
                sample.add("temperature", Value::Float(reading.temperature()));
                sample.add("humidity", Value::Float(reading.humidity()));
            }
            Err(error) => println!("espalier: {error}"),
        }
    }

    fn add_vitals(&self, sample: &mut Sample) {
        if let Some(rssi) = self.desk.rssi.get() {
            sample.add("rssi", Value::Int(i64::from(rssi)));
        }
        let seconds = i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX);
        sample.add("uptime", Value::Int(seconds));
    }
}
