//! Images, tables, manifests and keys from outside: made ones, and real ones where they lie beside the repository.

mod apps;
mod kinds;
mod signing;
mod tables;

use std::path::Path;

/// A real image or table; nothing, and a note, when this machine does not have it.
fn real(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/images");
    let found = std::fs::read(folder.join(name)).ok();
    if found.is_none() {
        eprintln!("skipped: {name} is not on this machine");
    }
    found
}
