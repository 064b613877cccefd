//! libFuzzer's entry to the target `device_schedules` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("device_schedules").run)(data);
});
