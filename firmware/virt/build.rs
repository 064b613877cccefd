//! Gives the two programs their places in memory, and the firmware the date of its sources. Nothing else.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for file in ["build.rs", "loader.x", "app.x", "sections.x"] {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let date = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "0".to_owned());
    println!("cargo:rustc-env=ESPALIER_DATE={date}");
    println!("cargo:rustc-link-arg-bins=-L{here}");
    println!("cargo:rustc-link-arg-bin=loader=-Tloader.x");
    println!("cargo:rustc-link-arg-bin=espalier-virt=-Tapp.x");
}
