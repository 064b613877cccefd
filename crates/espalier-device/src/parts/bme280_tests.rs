//! The compensation against the example of the data sheet, and against its floating-point formulas computed in Python.

extern crate std;

use proptest::prelude::*;

use super::*;

/// The constants of the example of the data sheet of the BMP280 with a humidity part, and those of a real sensor.
const SENSORS: [Calibration; 2] = [
    Calibration {
        t1: 27504,
        t: [26435, -1000],
        p1: 36477,
        p: [-10685, 3024, 2855, 140, -7, 15500, -14600, 6000],
        h1: 75,
        h2: 370,
        h3: 0,
        h4: 313,
        h5: 50,
        h6: 30,
    },
    Calibration {
        t1: 28485,
        t: [26735, 50],
        p1: 36738,
        p: [-10635, 3024, 6980, -4, -7, 9900, -10230, 4285],
        h1: 75,
        h2: 355,
        h3: 0,
        h4: 342,
        h5: 0,
        h6: 30,
    },
];

/// Sensor, raw temperature, pressure and humidity; degrees Celsius, pascal and percent as doubles say.
const COMPUTED: [(usize, u32, u32, u16, f64, f64, f64); 7] = [
    (0, 459676, 347463, 33370, 6.176, 109103.03, 73.750),
    (0, 456731, 400455, 26170, 5.249, 100072.66, 34.549),
    (1, 433437, 306814, 31374, -7.114, 101713.44, 48.443),
    (1, 503264, 297730, 30761, 15.141, 107000.29, 47.749),
    (1, 591985, 411861, 32576, 43.426, 91824.88, 61.118),
    (1, 463213, 284666, 18058, 2.375, 106964.02, 0.000),
    (1, 431392, 304907, 25060, -7.766, 101914.10, 16.249),
];

fn raw(t: u32, p: u32, h: u16) -> [u8; 8] {
    let [_, p2, p1, p0] = (p << 4).to_be_bytes();
    let [_, t2, t1, t0] = (t << 4).to_be_bytes();
    let [h1, h0] = h.to_be_bytes();
    [p2, p1, p0, t2, t1, t0, h1, h0]
}

fn registers(c: &Calibration) -> ([u8; 26], [u8; 7]) {
    let mut first = [0; 26];
    let words = [c.t1, c.t[0].cast_unsigned(), c.t[1].cast_unsigned(), c.p1];
    let words = words.into_iter().chain(c.p.map(i16::cast_unsigned));
    for (place, word) in first.chunks_mut(2).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    first[25] = c.h1;
    let [h2_low, h2_high] = c.h2.to_le_bytes();
    let shared = (c.h4 & 0x0f | (c.h5 & 0x0f) << 4) as u8;
    (
        first,
        [
            h2_low,
            h2_high,
            c.h3,
            (c.h4 >> 4) as u8,
            shared,
            (c.h5 >> 4) as u8,
            c.h6.cast_unsigned(),
        ],
    )
}

#[test]
fn the_example_of_the_data_sheet_comes_out() {
    let reading = SENSORS[0]
        .compensate(&raw(519_888, 415_148, 30_000))
        .unwrap();
    assert_eq!(SENSORS[0].t_fine(519_888), 128_422);
    assert_eq!(reading.temperature_c, 2_508);
    // The table says 100653.27 Pa, computed with doubles; the integers come to 0.013 Pa less.
    assert!((f64::from(reading.pressure_256) / 256.0 - 100_653.27).abs() < 0.02);
    assert_eq!(
        (reading.temperature(), reading.pressure()),
        (25.08, 1006.53)
    );
    assert!(
        (reading.humidity() - 56.206).abs() < 0.02,
        "{}",
        reading.humidity()
    );
}

#[test]
fn integers_agree_with_doubles() {
    for (sensor, t, p, h, celsius, pascal, percent) in COMPUTED {
        let reading = SENSORS[sensor].compensate(&raw(t, p, h)).unwrap();
        assert!(
            (reading.temperature() - celsius).abs() < 0.011,
            "{reading:?} {celsius}"
        );
        assert!(
            (reading.pressure() * 100.0 - pascal).abs() < 2.0,
            "{reading:?} {pascal}"
        );
        assert!(
            (reading.humidity() - percent).abs() < 0.05,
            "{} {percent}",
            reading.humidity()
        );
    }
    // 1218 hPa and 48 °C: more than the sensor can measure.
    assert_eq!(
        SENSORS[0].compensate(&raw(593_289, 316_963, 29_748)),
        Err(Bme280Error::Range)
    );
}

#[test]
fn constants_are_read_from_the_registers() {
    for sensor in SENSORS {
        let (first, second) = registers(&sensor);
        assert_eq!(Calibration::read(&first, &second), Ok(sensor));
    }
    // Signs of the twelve-bit constants.
    let negative = Calibration {
        h4: -3,
        h5: -1024,
        h6: -1,
        ..SENSORS[0]
    };
    let (first, second) = registers(&negative);
    assert_eq!(Calibration::read(&first, &second), Ok(negative));
}

#[test]
fn a_bus_that_does_not_work_gives_no_values() {
    for byte in [0, 0xff] {
        assert_eq!(
            Calibration::read(&[byte; 26], &[byte; 7]),
            Err(Bme280Error::Calibration)
        );
    }
    let (first, second) = registers(&SENSORS[0]);
    assert_eq!(
        Calibration::read(&first, &[0xff; 7]),
        Err(Bme280Error::Calibration)
    );
    assert_eq!(
        Calibration::read(&[0; 26], &second),
        Err(Bme280Error::Calibration)
    );
    for raw in [
        raw(0x80000, 415_148, 30_000),
        raw(519_888, 0x80000, 30_000),
        raw(519_888, 415_148, 0x8000),
    ] {
        assert_eq!(SENSORS[0].compensate(&raw), Err(Bme280Error::NotMeasured));
    }
    assert_eq!(SENSORS[0].compensate(&[0; 8]), Err(Bme280Error::Range));
    assert_eq!(SENSORS[0].compensate(&[0xff; 8]), Err(Bme280Error::Range));
}

proptest! {
    /// No registers make the formulas overflow, and what comes out is within the range of the sensor.
    #[test]
    fn any_registers_give_a_value_in_range_or_none(
        first in any::<[u8; 26]>(), second in any::<[u8; 7]>(), raw in any::<[u8; 8]>(), real: bool,
    ) {
        let calibration = if real { Ok(SENSORS[1]) } else { Calibration::read(&first, &second) };
        if let Ok(reading) = calibration.and_then(|c| c.compensate(&raw)) {
            prop_assert!((-40.0..=85.0).contains(&reading.temperature()));
            prop_assert!((300.0..=1100.0).contains(&reading.pressure()));
            prop_assert!((0.0..=100.0).contains(&reading.humidity()));
        }
    }
}
