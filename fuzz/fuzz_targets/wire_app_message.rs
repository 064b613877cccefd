//! libFuzzer's entry to the target `wire_app_message` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("wire_app_message").run)(data);
});
