//! libFuzzer's entry to the target `tsdb_record` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("tsdb_record").run)(data);
});
