//! libFuzzer's entry to the target `telemetry_import` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("telemetry_import").run)(data);
});
