//! Hands the linker script of esp-hal to the linker, and the firmware the date of its sources. Nothing else.

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script everything through its environment"
)]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let date = told("SOURCE_DATE_EPOCH").unwrap_or_else(|| "0".to_owned());
    println!("cargo:rustc-env=ESPALIER_DATE={date}");
    println!("cargo:rustc-link-arg-bins=-Tlinkall.x");
    if told("CARGO_CFG_TARGET_ARCH").as_deref() == Some("xtensa") {
        // GCC links there, and would add the start of a program for an operating system.
        println!("cargo:rustc-link-arg-bins=-nostartfiles");
    }
}
