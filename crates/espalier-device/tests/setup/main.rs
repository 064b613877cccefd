//! Tests of what sets a board up and keeps it so: records in flash, settings, what other firmware left, and every way in.

mod bench;
mod console;
mod flash;
mod improv;
mod net;
mod nvs;
mod portal;
mod records;
mod settings;
