//! The first stage: reads the OTA data, checks images, starts one. It takes nothing back; that is the boot gate's, in the firmware.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use embedded_storage::nor_flash::ReadNorFlash;
use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_image::otadata::{OtaData, State, choose};
use espalier_virt::boot::{APP, APP_SIZE, Kept, OTADATA, SLOTS, STAGING};
use espalier_virt::flash::{self, Flash};
use espalier_virt::machine::{panicked, power_off};
use espalier_virt::say;

/// How QEMU ends when no slot holds an image that may start.
const NOTHING_TO_START: u16 = 3;
/// How QEMU ends when the board has no flash.
const NO_FLASH: u16 = 4;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info)
}

#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    let Some(device) = flash::device() else {
        say!("loader: the board has no flash of 4 MB");
        power_off(NO_FLASH);
    };
    let mut flash = Flash(&device);
    let slots = SLOTS.len() as u8;
    let Ok(data) = OtaData::read(&mut flash, OTADATA) else {
        say!("loader: the flash cannot be read");
        power_off(NO_FLASH);
    };
    if data.entries().iter().all(Option::is_none) {
        // It decides for the first slot before it knows whether that one starts, as the bootloader of a chip does.
        let _ = choose(&mut flash, OTADATA, slots, 0, State::Valid);
    }
    let first = data.selected(slots);
    // Down from the chosen slot, then up from it.
    for slot in (0..=first).rev().chain(first + 1..slots) {
        match place(flash, slot) {
            Ok(()) => {
                Kept::start(slot);
                say!("loader: starting slot {slot}");
                drop(device);
                jump()
            }
            Err(why) => say!("loader: slot {slot} is not bootable: {why}"),
        }
    }
    power_off(NOTHING_TO_START)
}

/// Checks the image in a slot and copies it to where it runs.
fn place(mut flash: Flash<'_>, slot: u8) -> Result<(), &'static str> {
    let part = SLOTS[usize::from(slot)];
    // SAFETY: this memory is nobody else's, and long enough for a slot.
    let staging =
        unsafe { core::slice::from_raw_parts_mut(STAGING as *mut u8, part.size as usize) };
    flash
        .read(part.offset, staging)
        .map_err(|_| "the flash cannot be read")?;
    let length = app_length(staging).ok_or("it holds no image")?;
    let image = staging.get(..length).ok_or("it is longer than its slot")?;
    let image = app::parse(image).map_err(|_| "its checksum or digest is wrong")?;
    if image.head.chip != Chip::Esp32C3 {
        return Err("it is for another chip");
    }
    let code = image.payload();
    if code.is_empty() || code.len() > APP_SIZE {
        return Err("it does not fit the memory");
    }
    // SAFETY: the firmware's memory is nobody's until it starts, and long enough.
    unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), APP as *mut u8, code.len()) };
    Ok(())
}

/// Returns how long the image at the beginning of a slot is, as its headers say.
fn app_length(bytes: &[u8]) -> Option<usize> {
    let number = |at: u32| {
        let at = usize::try_from(at).ok()?;
        let four = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(four.try_into().ok()?))
    };
    let length = app::Head::parse(bytes).ok()?.length(number)?;
    usize::try_from(length).ok()
}

fn jump() -> ! {
    // SAFETY: a checked image is there, whose first instruction is its first byte.
    unsafe {
        core::arch::asm!("fence.i", "jr {at}", at = in(reg) APP, options(noreturn));
    }
}
