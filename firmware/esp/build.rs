//! Hands the linker script of esp-hal to the linker, and the firmware the date of its sources. Nothing else.

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script everything through its environment"
)]
fn date() -> String {
    std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "0".to_owned())
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rustc-env=ESPALIER_DATE={}", date());
    println!("cargo:rustc-link-arg-bins=-Tlinkall.x");
}
