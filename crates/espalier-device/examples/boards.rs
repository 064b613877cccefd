//! Prints the boards that are known, as JSON. `cargo xtask gen` runs it and keeps what it prints where the web app reads it; it
//! is no part of what runs on a board.

use espalier_device::profile::{NAMES, Pin, Profile, named};

fn main() {
    let boards: Vec<String> = NAMES.into_iter().filter_map(named).map(board).collect();
    println!("[\n{}\n]", boards.join(",\n"));
}

/// One board. Names, roles and keys are plain words, which Rust and JSON quote alike.
fn board(Profile { name, chip, pins }: Profile) -> String {
    let pins: Vec<String> = pins.iter().map(pin).collect();
    format!(
        "  {{\n    \"name\": {name:?},\n    \"chip\": {:?},\n    \"pins\": [\n{}\n    ]\n  }}",
        chip.title(),
        pins.join(",\n")
    )
}

fn pin(pin: &Pin) -> String {
    let mut line = format!(
        "      {{ \"gpio\": {}, \"role\": {:?}",
        pin.gpio,
        pin.role.as_str()
    );
    if !pin.key.is_empty() {
        line += &format!(", \"key\": {:?}", pin.key);
    }
    if pin.inverted {
        line += ", \"inverted\": true";
    }
    line + " }"
}
