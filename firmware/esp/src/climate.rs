//! Temperature, humidity and pressure of a board with sensors, by profile. A sensor that does not answer adds no value, and the
//! serial port says why; whether each of them works is part of every sample.

use embassy_time::{Duration, Instant};
use esp_println::println;
use espalier_board::Sample;
use espalier_device::parts::dht22::MIN_INTERVAL_MS;
use espalier_device::parts::health::Sensor;
use espalier_wire::json::Value;

use crate::desk::Desk;
use crate::sensors::{Bme280, Bus, Dht22, Receiver};

/// What measures the air.
pub struct Climate {
    desk: &'static Desk,
    dht22: Option<Dht22>,
    dht22_at: Option<Instant>,
    bme280: Option<Bme280>,
}

impl Climate {
    /// Takes the sensors that the profile names, when the board is not in safe mode.
    pub fn new(desk: &'static Desk, receiver: Option<Receiver>, bus: Option<Bus>) -> Self {
        let safe = desk.station.borrow_mut().node().is_safe();
        let profile = Some(&desk.profile).filter(|_| !safe);
        Climate {
            desk,
            dht22: profile
                .zip(receiver)
                .and_then(|(profile, receiver)| Dht22::new(profile, receiver)),
            dht22_at: None,
            bme280: bus.filter(|_| !safe).map(Bme280::new),
        }
    }

    /// Adds what is measured. The BME280 is the better one; a DHT22 beside it is not asked for what is known already.
    pub async fn measure(&mut self, sample: &mut Sample) {
        if let Some(sensor) = &mut self.bme280 {
            let reading = sensor.read().await;
            self.desk.used(Sensor::Bme280, reading.is_ok());
            match reading {
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
        self.desk.used(Sensor::Dht22, reading.is_ok());
        match reading {
            Ok(reading) => {
                sample.add("temperature", Value::Float(reading.temperature()));
                sample.add("humidity", Value::Float(reading.humidity()));
            }
            Err(error) => println!("espalier: {error}"),
        }
    }
}
