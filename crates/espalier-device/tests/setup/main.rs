//! Tests of what sets a board up and keeps it so: records in flash, settings, what other firmware left, and every way in.

mod flash;
mod records;
mod settings;
