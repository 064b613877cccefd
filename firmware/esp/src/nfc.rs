//! The bus of the NFC reader: carries frames to a PN532 over I2C and its answers back. What is said is in
//! `espalier_device::parts::pn532`.

use embassy_time::{Duration, Instant, Timer};
use esp_println::println;
use espalier_device::parts::health::Sensor;
use espalier_device::parts::ndef::Card;
use espalier_device::parts::pn532::{ACK, ADDRESS, ANSWER_MS, MAX_ANSWER, Pn532Error, Writer};

use crate::desk::Desk;
use crate::sensors::Bus;

/// How long it waits for a tag. Whoever asked waits as long for the answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often the reader is asked whether it is ready, and how long it may take to wake up.
const LOOK: Duration = Duration::from_millis(5);

/// Writes a card onto the first tag that comes.
///
/// # Errors
/// Says in one sentence why there is no card on a tag.
pub async fn write(desk: &Desk, bus: Option<Bus>, card: Card<'_>) -> Result<(), &'static str> {
    if card.name.trim().is_empty() {
        return Err("this board has no business card: set card_name in its desired state");
    }
    let bus = bus.ok_or("this board has no NFC reader: its profile names no I2C bus")?;
    let told = |error: Pn532Error| {
        println!("espalier: {error}");
        error.as_str()
    };
    let mut writer = Writer::new(card).map_err(told)?;
    let since = Instant::now();
    while let Some(command) = writer.command() {
        // A tag that is there is written to its end.
        if !writer.has_tag() && since.elapsed() >= PATIENCE {
            return Err("no tag came to the NFC reader within eight seconds");
        }
        let mut answer = [0; 1 + MAX_ANSWER];
        let answered = exchange(bus, &command, &mut answer).await;
        desk.used(Sensor::Nfc, answered.is_ok());
        answered.map_err(told)?;
        let [_, answer @ ..] = &answer;
        writer.answered(answer).map_err(told)?;
    }
    Ok(())
}

/// Sends a command and reads its answer, behind the byte that says that the reader is ready.
async fn exchange(bus: Bus, command: &[u8], answer: &mut [u8]) -> Result<(), Pn532Error> {
    let sent = bus.borrow_mut().write(ADDRESS, command);
    if sent.is_err() {
        // The first word only wakes it up.
        Timer::after(LOOK).await;
        let again = bus.borrow_mut().write(ADDRESS, command);
        again.map_err(|_| Pn532Error::Silent)?;
    }
    let mut ack = [0; 1 + ACK.len()];
    read(bus, &mut ack).await?;
    if !ack.ends_with(&ACK) {
        return Err(Pn532Error::Garbled);
    }
    read(bus, answer).await
}

async fn read(bus: Bus, into: &mut [u8]) -> Result<(), Pn532Error> {
    let since = Instant::now();
    let most = Duration::from_millis(u64::from(ANSWER_MS));
    loop {
        Timer::after(LOOK).await;
        let mut ready = [0];
        // A reader that is busy may also not answer at all.
        let asked = bus.borrow_mut().read(ADDRESS, &mut ready);
        if asked.is_ok() && ready[0] & 1 == 1 {
            let done = bus.borrow_mut().read(ADDRESS, into);
            return done.map_err(|_| Pn532Error::Silent);
        }
        if since.elapsed() >= most {
            return Err(Pn532Error::Silent);
        }
    }
}
