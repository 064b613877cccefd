//! What a variant has beside its station: its sensors and its business card.

use espalier_board::Sample;
use espalier_board::life::Parts;
#[cfg(feature = "nfc")]
use {espalier_board::Done, espalier_wire::json::Json};

#[cfg(feature = "sensors")]
use crate::climate::Climate;
#[cfg(feature = "nfc")]
use crate::{card, desk::Desk, nfc, sensors::Bus};

/// What this firmware has; nothing on most variants.
pub struct Things {
    #[cfg(feature = "sensors")]
    pub climate: Climate,
    /// Where an NFC reader may be.
    #[cfg(feature = "nfc")]
    pub reader: Option<Bus>,
    #[cfg(feature = "nfc")]
    pub card: card::Texts,
    #[cfg(feature = "nfc")]
    pub desk: &'static Desk,
}

impl Parts for Things {
    #[cfg(feature = "nfc")]
    const TEXTS: &'static [&'static str] = &card::KEYS;
    #[cfg(feature = "nfc")]
    const UNKNOWN: &'static str =
        "this board knows the commands ping, identify, measure, write_card and restart";

    #[cfg(feature = "sensors")]
    async fn measure(&mut self, sample: &mut Sample) {
        self.climate.measure(sample).await;
    }

    #[cfg(not(feature = "sensors"))]
    async fn measure(&mut self, _sample: &mut Sample) {}

    #[cfg(feature = "nfc")]
    fn set(&mut self, key: &str, value: Json<'_>) -> Option<bool> {
        self.card.set(key, value)
    }

    #[cfg(feature = "nfc")]
    async fn run(&mut self, name: &str, _params: Json<'_>) -> Option<Done> {
        if name != "write_card" {
            return None;
        }
        Some(
            match nfc::write(self.desk, self.reader, self.card.card()).await {
                Ok(()) => Done::Ok,
                Err(why) => Done::Failed(why),
            },
        )
    }
}
