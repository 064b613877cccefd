//! libFuzzer's entry to the target `wire_device_down` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("wire_device_down").run)(data);
});
