//! libFuzzer's entry to the target `wire_json` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("wire_json").run)(data);
});
