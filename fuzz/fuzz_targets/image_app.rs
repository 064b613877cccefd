//! libFuzzer's entry to the target `image_app` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("image_app").run)(data);
});
