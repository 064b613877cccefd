//! The fuzz targets: for each reader of outside bytes one function that feeds it and checks what must hold for every input.
//!
//! The tests run each on a fixed number of deterministic inputs, on stable Rust; the programs in `fuzz_targets` as long as one likes,
//! with libFuzzer: `cargo +nightly fuzz run NAME --features libfuzzer`. An input that broke one is fed again by `again`. A target is
//! an entry of [`TARGETS`], its line in `tests/smoke.rs`, three lines in `fuzz_targets/NAME.rs`, and its `[[bin]]` in Cargo.toml.
//!
//! A target that only waits for panics finds little. Each one here also writes back what it has read and reads that again, or asks
//! a second reader.

mod board;
mod device;
mod image;
pub mod inputs;
mod kept;
mod parts;
mod patch;
mod setup;
pub mod smoke;
mod telemetry;
mod tsdb;
mod wire;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
}

/// A reader of outside bytes with what is needed to reach its depths.
#[derive(Debug)]
pub struct Target {
    /// The name, also that of its file in `fuzz_targets`.
    pub name: &'static str,
    /// Feeds the reader; panics when something that must hold does not.
    pub run: fn(&[u8]) -> Verdict,
    /// Makes valid inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that mutations insert.
    pub words: &'static [&'static [u8]],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    wire::JSON,
    wire::DEVICE_UP,
    wire::DEVICE_DOWN,
    wire::DEVICE_HTTP,
    wire::APP_MESSAGE,
    device::CORE,
    device::QUEUE,
    device::SERVER_URL,
    setup::CONSOLE,
    setup::PORTAL,
    setup::NET,
    kept::SETTINGS,
    kept::RECORDS,
    kept::NVS,
    parts::SCHEDULES,
    parts::ZONE,
    parts::PROFILE,
    parts::PICTURE,
    board::DER,
    board::CERTIFICATE,
    board::FRAMES,
    board::HEAD,
    board::BODY,
    board::DATE,
    image::APP,
    image::PARTITIONS,
    image::ANY,
    image::SIGNED,
    patch::PATCH,
    tsdb::CHUNK,
    tsdb::RECORD,
    telemetry::BODY,
    telemetry::IMPORT,
];

/// Returns the target of that name.
///
/// # Panics
/// When there is none: the name is a constant of a fuzz target's file.
pub fn target(name: &str) -> &'static Target {
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("no fuzz target `{name}`"))
}

/// Makes seeds from texts.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
