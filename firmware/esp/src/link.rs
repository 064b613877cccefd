//! The connection with the server: what the chip adds to the life of a board.

#[cfg(feature = "esp32")]
use core::mem::MaybeUninit;

use espalier_board::life::{self, Firmware, Memory, Start};
use espalier_board::sockets::Client;
use espalier_device::UpdatePolicy;
use espalier_device::update::Boot;
#[cfg(not(feature = "esp32"))]
use static_cell::ConstStaticCell;
#[cfg(feature = "esp32")]
use static_cell::StaticCell;

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
    life::serve(desk, start, memory()).await;
}

/// Takes the memory of the link, the largest thing that the firmware has, and larger than the stack. Call it once.
fn memory() -> &'static mut Memory {
    cfg_select! {
        // It does not fit beside its other data, but in what the bootloader leaves.
        feature = "esp32" => {
            static PLACE: StaticCell<&'static mut MaybeUninit<Memory>> = StaticCell::new();
            #[esp_hal::ram(reclaimed)]
            static mut MEMORY: MaybeUninit<Memory> = MaybeUninit::uninit();
            // In flash, from where it is copied past the stack.
            static EMPTY: Memory = Memory::new();
            let memory = &raw mut MEMORY;
            // SAFETY: nobody else names the memory, and the place for this reference is given away only once.
            let place = PLACE.init_with(|| unsafe { &mut *memory });
            // SAFETY: empty memory owns nothing, so that a copy of its bytes is another one, and the place is large enough.
            unsafe { core::ptr::copy_nonoverlapping(&raw const EMPTY, place.as_mut_ptr(), 1) };
            // SAFETY: it was filled just now.
            unsafe { place.assume_init_mut() }
        }
        _ => {
            static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
            MEMORY.take()
        }
    }
}
