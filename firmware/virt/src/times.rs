//! How long things take that a person or a server waits for. The emulator that counts instructions makes the clock count them, so that
//! the same code takes the same time everywhere; see `xtask/src/firmware/times.rs`.

use core::hint::black_box;

use embassy_time::Instant;
use espalier_image::keys::PublicKey;
use espalier_virt::machine::power_off;
use espalier_virt::say;
use sha2::{Digest, Sha256};

/// Bytes that are hashed at once, as they come out of the network.
const PIECE: usize = 4096;
/// How many of them: a quarter of a MiB in all.
const PIECES: usize = 64;

/// A key and its signature of nothing: RFC 8032, section 7.1, test 1.
const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const SIGNATURE: [u8; 64] = [
    0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72, 0x90, 0x86, 0xe2, 0xcc, 0x80, 0x6e, 0x82, 0x8a,
    0x84, 0x87, 0x7f, 0x1e, 0xb8, 0xe5, 0xd9, 0x74, 0xd8, 0x73, 0xe0, 0x65, 0x22, 0x49, 0x01, 0x55,
    0x5f, 0xb8, 0x82, 0x15, 0x90, 0xa3, 0x3b, 0xac, 0xc6, 0x1e, 0x39, 0x70, 0x1c, 0xf9, 0xb4, 0x6b,
    0xd2, 0x5b, 0xf5, 0xf0, 0x59, 0x5b, 0xbe, 0x24, 0x65, 0x51, 0x41, 0x43, 0x8e, 0x7a, 0x10, 0x0b,
];

/// Says what was measured, in ticks of the clock, and switches the board off.
pub fn tell() {
    let now = Instant::now();
    let mut hash = Sha256::new();
    for _ in 0..PIECES {
        hash.update(black_box([0x5a; PIECE]));
    }
    black_box(hash.finalize());
    let digest = now.elapsed();
    let now = Instant::now();
    let valid =
        PublicKey::from_base64(KEY).is_some_and(|key| key.verifies(b"", black_box(&SIGNATURE)));
    let signature = now.elapsed();
    say!(
        "times: digest {} of {} bytes",
        digest.as_ticks(),
        PIECE * PIECES
    );
    say!("times: signature {} valid {valid}", signature.as_ticks());
    power_off(0);
}
