//! The BME280 sensor of temperature, pressure and humidity: its calibration, and the compensation of raw values by the integer
//! formulas of its data sheet (BST-BME280-DS002, 4.2.3). Not the bus: the binding reads and writes the registers named here.

use core::fmt;

/// The addresses that the sensor can have on the I2C bus.
pub const ADDRESSES: [u8; 2] = [0x76, 0x77];
/// The register of the chip id, and its value.
pub const CHIP_ID: (u8, u8) = (0xd0, 0x60);
/// The registers to write, in their order, for one measurement of all three values, once each: humidity, filter, then mode.
pub const MEASURE: [(u8, u8); 3] = [(0xf2, 0x01), (0xf5, 0x00), (0xf4, 0x25)];
/// How long such a measurement takes at most, in milliseconds.
pub const MEASURE_MS: u32 = 10;
/// The first register and the number of the first part of the calibration.
pub const CALIBRATION_1: (u8, usize) = (0x88, 26);
/// The first register and the number of the second part.
pub const CALIBRATION_2: (u8, usize) = (0xe1, 7);
/// The first register and the number of the raw values.
pub const RAW: (u8, usize) = (0xf7, 8);

/// What the sensor measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Temperature in hundredths of a degree Celsius.
    pub temperature_c: i32,
    /// Pressure in 256ths of a pascal.
    pub pressure_256: u32,
    /// Relative humidity in 1024ths of a percent.
    pub humidity_1024: u32,
}

impl Reading {
    /// Returns the temperature in degrees Celsius.
    pub fn temperature(self) -> f64 {
        f64::from(self.temperature_c) / 100.0
    }

    /// Returns the pressure in hectopascal, to a hundredth.
    pub fn pressure(self) -> f64 {
        f64::from((self.pressure_256 + 128) / 256) / 100.0
    }

    /// Returns the relative humidity in percent, to a hundredth.
    pub fn humidity(self) -> f64 {
        f64::from((self.humidity_1024 * 100 + 512) / 1024) / 100.0
    }
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bme280Error {
    /// The calibration is none: the bus does not work, or this is another chip.
    Calibration,
    /// The sensor has not measured.
    NotMeasured,
    /// The values are none that the sensor can measure.
    Range,
}

impl fmt::Display for Bme280Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bme280Error::Calibration => {
                "the BME280 has no calibration: check its wires and address"
            }
            Bme280Error::NotMeasured => "the BME280 has not measured",
            Bme280Error::Range => "the BME280 sent values that it cannot measure",
        })
    }
}

impl core::error::Error for Bme280Error {}

/// The constants of one sensor, named as in the data sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    t1: u16,
    t: [i16; 2],
    p1: u16,
    p: [i16; 8],
    h1: u8,
    h2: i16,
    h3: u8,
    h4: i16,
    h5: i16,
    h6: i8,
}

impl Calibration {
    /// Takes the constants from the two parts of the registers.
    ///
    /// # Errors
    /// Refuses registers that are all the same, and constants that no sensor has.
    pub fn read(
        first: &[u8; CALIBRATION_1.1],
        second: &[u8; CALIBRATION_2.1],
    ) -> Result<Self, Bme280Error> {
        let word = |n: usize| {
            let bytes = first.get(2 * n..).and_then(|b| b.first_chunk());
            u16::from_le_bytes(bytes.copied().unwrap_or_default())
        };
        let signed = |n: usize| word(n).cast_signed();
        let [h2_low, h2_high, h3, h4_high, h4_h5, h5_high, h6] = *second;
        // Twelve bits with a sign each; four of them share a byte.
        let twelve = |high: u8, low: u8| i16::from(high.cast_signed()) * 16 + i16::from(low);
        let calibration = Calibration {
            t1: word(0),
            t: [signed(1), signed(2)],
            p1: word(3),
            p: core::array::from_fn(|n| signed(4 + n)),
            h1: first.last().copied().unwrap_or_default(),
            h2: i16::from_le_bytes([h2_low, h2_high]),
            h3,
            h4: twelve(h4_high, h4_h5 & 0x0f),
            h5: twelve(h5_high, h4_h5 >> 4),
            h6: h6.cast_signed(),
        };
        let same = |bytes: &[u8]| bytes.iter().all(|b| Some(b) == bytes.first());
        let sound = calibration.t1 != 0 && calibration.p1 != 0 && !same(first) && !same(second);
        sound.then_some(calibration).ok_or(Bme280Error::Calibration)
    }

    /// Compensates the raw registers.
    ///
    /// # Errors
    /// When nothing was measured, or when the values are out of the range of the sensor.
    pub fn compensate(&self, raw: &[u8; RAW.1]) -> Result<Reading, Bme280Error> {
        let twenty =
            |a: u8, b: u8, c: u8| (i32::from(a) << 12) | (i32::from(b) << 4) | (i32::from(c) >> 4);
        let [p2, p1, p0, t2, t1, t0, h1, h0] = *raw;
        let (adc_p, adc_t) = (twenty(p2, p1, p0), twenty(t2, t1, t0));
        let adc_h = i32::from(u16::from_be_bytes([h1, h0]));
        // What a register holds whose measurement was left out.
        if adc_p == 0x80000 || adc_t == 0x80000 || adc_h == 0x8000 {
            return Err(Bme280Error::NotMeasured);
        }
        let t_fine = self.t_fine(adc_t);
        let temperature_c = i32::try_from((t_fine * 5 + 128) >> 8).unwrap_or(i32::MAX);
        // The other two formulas hold for these temperatures only.
        if !(-4_000..=8_500).contains(&temperature_c) {
            return Err(Bme280Error::Range);
        }
        let pressure = self.pressure(adc_p, t_fine);
        let pressure_256 = pressure.filter(|p| (30_000 * 256..=110_000 * 256).contains(p));
        Ok(Reading {
            temperature_c,
            pressure_256: pressure_256.ok_or(Bme280Error::Range)?,
            humidity_1024: self.humidity(adc_h, t_fine),
        })
    }

    /// The temperature that the other two formulas need. 64 bits, so that no register makes it overflow.
    fn t_fine(&self, adc: i32) -> i64 {
        let (adc, t1) = (i64::from(adc), i64::from(self.t1));
        let [t2, t3] = self.t.map(i64::from);
        let linear = (((adc >> 3) - (t1 << 1)) * t2) >> 11;
        let off = (adc >> 4) - t1;
        linear + ((((off * off) >> 12) * t3) >> 14)
    }

    fn pressure(&self, adc: i32, t_fine: i64) -> Option<u32> {
        let [p2, p3, p4, p5, p6, p7, p8, p9] = self.p.map(i64::from);
        let t = t_fine - 128_000;
        let offset = t * t * p6 + ((t * p5) << 17) + (p4 << 35);
        let scale = ((t * t * p3) >> 8) + ((t * p2) << 12);
        let scale = ((1_i64 << 47) + scale).checked_mul(i64::from(self.p1))? >> 33;
        if scale == 0 {
            return None;
        }
        let linear = 1_048_576 - i64::from(adc);
        let p = ((linear << 31) - offset).checked_mul(3125)? / scale;
        let fine = p9.checked_mul(p >> 13)?.checked_mul(p >> 13)? >> 25;
        let small = p8.checked_mul(p)? >> 19;
        let sum = p.checked_add(fine)?.checked_add(small)?;
        u32::try_from((sum >> 8) + (p7 << 4)).ok()
    }

    fn humidity(&self, adc: i32, t_fine: i64) -> u32 {
        let t = t_fine - 76_800;
        let (h2, h3, h6) = (i64::from(self.h2), i64::from(self.h3), i64::from(self.h6));
        let (h4, h5) = (i64::from(self.h4), i64::from(self.h5));
        let raw = ((i64::from(adc) << 14) - (h4 << 20) - h5 * t + 16_384) >> 15;
        let warm = (((t * h6) >> 10) * (((t * h3) >> 11) + 32_768)) >> 10;
        let slope = ((warm + 2_097_152) * h2 + 8_192) >> 14;
        let v = raw * slope;
        let v = v - (((((v >> 15) * (v >> 15)) >> 7) * i64::from(self.h1)) >> 4);
        // 100 % at most, in 1024ths.
        let v = v.clamp(0, 419_430_400) >> 12;
        u32::try_from(v).unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "bme280_tests.rs"]
mod tests;
