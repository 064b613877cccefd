//! Tells cargo that the migrations are part of this crate: the macro that embeds them cannot say so, and a
//! new file alone would not be noticed.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
