//! Whether an image fits a board, and which image of a release does.
//!
//! It judges what is known: what a board never said of itself does not stand in the way, because the board
//! checks everything once more before it writes.

use std::fmt;

/// What is known of a board.
#[derive(Debug, Clone, Copy, Default)]
pub struct Board<'a> {
    /// Its chip, e.g. `esp32c3`.
    pub chip: Option<&'a str>,
    /// Its chip's revision: major x 100 + minor.
    pub revision: Option<u16>,
    /// Bytes of the slot for the next image.
    pub slot_bytes: Option<u64>,
    /// The lowest secure version that it accepts.
    pub secure_version: Option<u32>,
    /// The type under which an old sketch asks.
    pub device_type: Option<&'a str>,
    /// It verifies signatures.
    pub native: bool,
}

/// What is known of an image.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The chip it is for.
    pub chip: &'a str,
    /// The lowest and the highest chip revision it is for.
    pub revisions: (u16, u16),
    /// Bytes.
    pub size: u64,
    /// Its secure version.
    pub secure_version: u32,
    /// The type under which old sketches ask for it.
    pub device_type: Option<&'a str>,
    /// It has a signed manifest.
    pub signed: bool,
    /// The board runs it already.
    pub installed: bool,
}

/// Why an image does not fit a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// It runs already.
    Installed,
    /// Another chip.
    Chip {
        /// The board's.
        board: String,
        /// The image's.
        image: String,
    },
    /// A chip revision that the image does not run on.
    Revision {
        /// The board's.
        board: u16,
        /// The lowest and the highest of the image.
        image: (u16, u16),
    },
    /// Larger than the slot.
    Slot {
        /// Bytes of the slot.
        slot: u64,
        /// Bytes of the image.
        image: u64,
    },
    /// Older than what the board accepts.
    SecureVersion {
        /// The lowest that the board accepts.
        board: u32,
        /// The image's.
        image: u32,
    },
    /// Another type of board.
    Type {
        /// The board's.
        board: String,
        /// The image's.
        image: String,
    },
    /// Nobody signed it.
    Unsigned,
    /// There is no image.
    Nothing,
}

impl Misfit {
    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Misfit::Installed => "installed",
            Misfit::Chip { .. } => "chip",
            Misfit::Revision { .. } => "revision",
            Misfit::Slot { .. } => "slot",
            Misfit::SecureVersion { .. } => "secure_version",
            Misfit::Type { .. } => "type",
            Misfit::Unsigned => "unsigned",
            Misfit::Nothing => "no_image",
        }
    }

    /// How close the image came; of several misfits the closest is the most useful to tell.
    fn closeness(&self) -> u8 {
        match self {
            Misfit::Installed => 7,
            Misfit::Unsigned => 6,
            Misfit::SecureVersion { .. } => 5,
            Misfit::Slot { .. } => 4,
            Misfit::Revision { .. } => 3,
            Misfit::Type { .. } => 2,
            Misfit::Chip { .. } => 1,
            Misfit::Nothing => 0,
        }
    }
}

fn revision(n: u16) -> String {
    format!("{}.{}", n / 100, n % 100)
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Installed => f.write_str("It runs this image already."),
            Misfit::Chip { board, image } => {
                write!(f, "Its chip is an {board}; the image is for the {image}.")
            }
            Misfit::Revision {
                board,
                image: (low, high),
            } => write!(
                f,
                "Its chip has revision {}; the image needs {} to {}.",
                revision(*board),
                revision(*low),
                revision(*high)
            ),
            Misfit::Slot { slot, image } => {
                write!(f, "Its slot has {slot} bytes; the image has {image}.")
            }
            Misfit::SecureVersion { board, image } => write!(
                f,
                "It accepts secure version {board} and above; the image has {image}."
            ),
            Misfit::Type { board, image } => {
                write!(
                    f,
                    "It is a board of type {board}; the image is for {image}."
                )
            }
            Misfit::Unsigned => f.write_str("It takes signed images only; this one is not signed."),
            Misfit::Nothing => f.write_str("The release has no image for it."),
        }
    }
}

/// Tells whether an image fits a board; `allow_unsigned` says that the operator allows images nobody signed.
///
/// # Errors
/// Says why not.
pub fn fit(board: &Board<'_>, image: &Image<'_>, allow_unsigned: bool) -> Result<(), Misfit> {
    if image.installed {
        return Err(Misfit::Installed);
    }
    if let Some(chip) = board.chip
        && chip != image.chip
    {
        return Err(Misfit::Chip {
            board: chip.to_owned(),
            image: image.chip.to_owned(),
        });
    }
    // Old sketches tell apart by type what our boards tell apart by chip.
    if let (Some(own), Some(wanted)) = (board.device_type, image.device_type)
        && own != wanted
    {
        return Err(Misfit::Type {
            board: own.to_owned(),
            image: wanted.to_owned(),
        });
    }
    let (low, high) = image.revisions;
    if let Some(own) = board.revision
        && !(low..=high).contains(&own)
    {
        return Err(Misfit::Revision {
            board: own,
            image: image.revisions,
        });
    }
    if let Some(slot) = board.slot_bytes
        && slot < image.size
    {
        return Err(Misfit::Slot {
            slot,
            image: image.size,
        });
    }
    if let Some(lowest) = board.secure_version
        && image.secure_version < lowest
    {
        return Err(Misfit::SecureVersion {
            board: lowest,
            image: image.secure_version,
        });
    }
    if board.native && !image.signed && !allow_unsigned {
        return Err(Misfit::Unsigned);
    }
    Ok(())
}

/// The image of a release for a board, by its place; an image of the board's own type comes before one of no type.
///
/// # Errors
/// Says of the image that came closest why it does not fit.
pub fn choose<'a>(
    board: &Board<'_>,
    images: impl IntoIterator<Item = Image<'a>>,
    allow_unsigned: bool,
) -> Result<usize, Misfit> {
    let mut found: Option<(bool, usize)> = None;
    let mut closest = Misfit::Nothing;
    for (place, image) in images.into_iter().enumerate() {
        match fit(board, &image, allow_unsigned) {
            Ok(()) => {
                let own = board.device_type.is_some() && image.device_type == board.device_type;
                if found.is_none_or(|(best, _)| own && !best) {
                    found = Some((own, place));
                }
            }
            Err(Misfit::Installed) => return Err(Misfit::Installed),
            Err(misfit) if misfit.closeness() > closest.closeness() => closest = misfit,
            Err(_) => {}
        }
    }
    found.map(|(_, place)| place).ok_or(closest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Image<'_> = Image {
        chip: "esp32c3",
        revisions: (3, 199),
        size: 1_000_000,
        secure_version: 1,
        device_type: None,
        signed: true,
        installed: false,
    };

    fn board() -> Board<'static> {
        Board {
            chip: Some("esp32c3"),
            revision: Some(4),
            slot_bytes: Some(1_310_720),
            secure_version: Some(1),
            device_type: None,
            native: true,
        }
    }

    #[test]
    fn every_misfit_is_found_and_told_in_one_sentence() {
        let say = |board: Board<'_>, image: Image<'_>| {
            fit(&board, &image, false)
                .map_or_else(|m| format!("{}: {m}", m.code()), |()| "fits".to_owned())
        };
        let own = board();
        assert_eq!(say(own, IMAGE), "fits");
        assert_eq!(say(Board::default(), IMAGE), "fits");
        assert_eq!(
            say(
                Board {
                    chip: Some("esp32c6"),
                    ..own
                },
                IMAGE
            ),
            "chip: Its chip is an esp32c6; the image is for the esp32c3."
        );
        assert_eq!(
            say(
                Board {
                    revision: Some(200),
                    ..own
                },
                IMAGE
            ),
            "revision: Its chip has revision 2.0; the image needs 0.3 to 1.99."
        );
        assert_eq!(
            say(
                Board {
                    slot_bytes: Some(9),
                    ..own
                },
                IMAGE
            ),
            "slot: Its slot has 9 bytes; the image has 1000000."
        );
        assert_eq!(
            say(
                Board {
                    secure_version: Some(2),
                    ..own
                },
                IMAGE
            ),
            "secure_version: It accepts secure version 2 and above; the image has 1."
        );
        let typed = Image {
            device_type: Some("B"),
            ..IMAGE
        };
        assert_eq!(
            say(
                Board {
                    device_type: Some("A"),
                    ..own
                },
                typed
            ),
            "type: It is a board of type A; the image is for B."
        );
        let unsigned = Image {
            signed: false,
            ..IMAGE
        };
        assert!(say(own, unsigned).starts_with("unsigned"));
        assert_eq!(fit(&own, &unsigned, true), Ok(()));
        assert!(
            say(
                own,
                Image {
                    installed: true,
                    ..IMAGE
                }
            )
            .starts_with("installed")
        );
    }

    #[test]
    fn the_image_of_a_release_is_the_one_for_the_board() {
        let c6 = Image {
            chip: "esp32c6",
            ..IMAGE
        };
        let typed = Image {
            device_type: Some("A"),
            ..IMAGE
        };
        let other = Image {
            device_type: Some("B"),
            ..IMAGE
        };
        let asks = Board {
            device_type: Some("A"),
            ..board()
        };
        assert_eq!(choose(&board(), [c6, IMAGE], false), Ok(1));
        assert_eq!(choose(&asks, [other, IMAGE, typed], false), Ok(2));
        assert_eq!(choose(&board(), [], false), Err(Misfit::Nothing));
        let small = Board {
            slot_bytes: Some(9),
            ..board()
        };
        assert_eq!(
            choose(&small, [c6, IMAGE], false).map_err(|m| m.code()),
            Err("slot")
        );
        let has = Image {
            installed: true,
            ..c6
        };
        assert_eq!(
            choose(&board(), [IMAGE, has], false),
            Err(Misfit::Installed)
        );
    }
}
