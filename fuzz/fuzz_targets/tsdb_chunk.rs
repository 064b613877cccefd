//! libFuzzer's entry to the target `tsdb_chunk` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("tsdb_chunk").run)(data);
});
