//! libFuzzer's entry to the target `image_signed_text` of `espalier_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (espalier_fuzz::target("image_signed_text").run)(data);
});
