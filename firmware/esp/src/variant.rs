//! Which variant of the firmware this is: a name and what the node can do. Exactly one is chosen by a feature.

use espalier_device::node::Capabilities;

/// How many variants are chosen.
const CHOSEN: usize = cfg!(feature = "base") as usize
    + cfg!(feature = "blink") as usize
    + cfg!(feature = "full") as usize
    + cfg!(feature = "bot") as usize
    + cfg!(feature = "things") as usize;
const _: () = assert!(
    CHOSEN == 1,
    "choose one variant: build with the feature base, blink, full, bot or things"
);

/// Project and abilities.
const VARIANT: (&str, Capabilities) = if cfg!(feature = "blink") {
    ("espalier-blink", Capabilities::BLINK)
} else if cfg!(feature = "full") {
    ("espalier-full", Capabilities::FULL)
} else if cfg!(feature = "bot") {
    ("espalier-bot", Capabilities::BOT)
} else if cfg!(feature = "things") {
    ("espalier-things", Capabilities::THINGS)
} else {
    ("espalier-base", Capabilities::BASE)
};

/// The name of the project, which the image and its kit carry: that of the variant, so that nobody takes one for another.
pub const PROJECT: &str = VARIANT.0;
/// What its node can do.
pub const CAPABILITIES: Capabilities = VARIANT.1;
