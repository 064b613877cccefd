//! The emulated board: `qemu-system-riscv32 -machine virt`, a RISC-V core with the instructions of an ESP32-C3 and simple devices
//! around it. What both of its programs need. Not the firmware's logic, which is that of every board.
//!
//! # How it starts
//! QEMU starts `loader` ([`boot`]), as the ROM of a chip starts a bootloader. It reads the OTA data in flash, checks the image of
//! the chosen slot as the ESP-IDF bootloader does, copies it to its place and jumps there; a broken image is passed over for the
//! other slot. A restart of the firmware is a reset of the machine: QEMU goes on, the loader runs again. A power cut is the end of
//! QEMU. What survives each of them is what survives on a chip: flash both ([`flash`], a file behind virtio), one page of memory
//! only the restart ([`boot::Kept`], like RTC memory).
//!
//! # What it is not
//! No radio, no pins, no secure boot; a watchdog only against tasks that hang. Its images have the form of an ESP32-C3's and say
//! that they are for one, so that the server treats them as such; they would not run on one. The sectors of its flash are those of
//! a chip (erased in 4096 bytes, writes only clear bits), but a power cut leaves whole blocks of 512 bytes, never half a one.
//!
//! | module | holds |
//! |---|---|
//! | [`boot`] | places in flash and memory, what the loader tells the firmware |
//! | [`machine`] | the start of a program, the serial line, the clock, how it ends |
//! | [`virtio`] | memory and places of the devices |
//! | [`flash`] | the flash |
#![no_std]

pub mod boot;
pub mod flash;
pub mod machine;
pub mod virtio;
