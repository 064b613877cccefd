//! The connection with the server: what the chip adds to the life of a board.

use espalier_board::life::{self, Firmware, Memory, Start};
use espalier_board::sockets::Client;
use espalier_device::UpdatePolicy;
use espalier_device::update::Boot;
use static_cell::ConstStaticCell;

use crate::chip;
use crate::desk::{Desk, Store};
use crate::flash::Flash;
use crate::random::Random;
use crate::things::Things;

/// Unix seconds of the sources of this image.
const DATE: &str = env!("ESPALIER_DATE");

/// What the display wants fetched.
#[cfg(feature = "screen")]
pub type Eyes = crate::picture::Eyes;
/// Nothing, without a display.
#[cfg(not(feature = "screen"))]
pub type Eyes = espalier_board::FetchNothing;

/// What the connection needs of the start.
pub struct Begun {
    pub boot: Boot,
    pub store: Store,
    pub flash: Flash,
    pub client: Client<'static>,
    pub random: Random,
    pub things: Things,
    pub eyes: Eyes,
}

/// Serves the server until the board is to restart. Call it once.
pub async fn serve(desk: &'static Desk, begun: Begun) {
    // Larger than the stack: it must be where it is from the beginning.
    static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
    let start = Start {
        boot: begun.boot,
        firmware: Firmware {
            chip: chip::CHIP.as_str(),
            version: env!("CARGO_PKG_VERSION"),
            date: DATE.parse().unwrap_or(0),
            updates: UpdatePolicy::default(),
            intervals_ms: None,
        },
        store: begun.store,
        flash: begun.flash,
        net: begun.client,
        rng: begun.random,
        parts: begun.things,
        fetch: begun.eyes,
    };
    life::serve(desk, start, MEMORY.take()).await;
}
