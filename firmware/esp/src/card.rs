//! The business card of a board: texts that the server wants it to have, each a switch of its own. A board that was told no name
//! has no card; nobody's is built in.

use espalier_device::parts::ndef::Card;
use espalier_device::state::MAX_SWITCH_VALUE;
use espalier_wire::json::Json;
use heapless::String;

/// The switches, in the order of the fields.
pub const KEYS: [&str; 6] = [
    "card_name",
    "card_organisation",
    "card_telephone",
    "card_email",
    "card_url",
    "card_note",
];

/// What is on the card.
#[derive(Default)]
pub struct Texts([String<MAX_SWITCH_VALUE>; KEYS.len()]);

impl Texts {
    /// Sets a text; says whether it took effect, and nothing when the key is another one's.
    pub fn set(&mut self, key: &str, value: Json<'_>) -> Option<bool> {
        let known = KEYS.iter().position(|known| *known == key)?;
        let text = self.0.get_mut(known)?;
        let mut new = String::new();
        let fits = value
            .as_text()
            .is_some_and(|value| value.chars().try_for_each(|c| new.push(c)).is_ok());
        if fits {
            *text = new;
        }
        Some(fits)
    }

    /// Returns the card.
    pub fn card(&self) -> Card<'_> {
        let [name, organisation, telephone, email, url, note] = &self.0;
        Card {
            name,
            organisation,
            telephone,
            email,
            url,
            note,
        }
    }
}
