//! libFuzzer's entry to the target `board_certificate` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("board_certificate").run)(data);
});
