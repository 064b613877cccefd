//! The machine: where a program begins, the serial line, the clock, and the ways in which it ends.

use core::arch::global_asm;
use core::cell::RefCell;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use espalier_device::update::BootReason;

use crate::boot::Kept;

/// The serial line, a 16550.
const UART: usize = 0x1000_0000;
const LINE_STATUS: usize = UART + 5;
/// What ends or resets the machine.
const TEST: usize = 0x10_0000;
/// The clock and its alarm, 10 MHz.
const CLOCK: usize = 0x0200_bff8;
const ALARM: usize = 0x0200_4000;
/// Ticks of the clock between two looks at the devices, 2 ms.
const LOOK_EVERY: u64 = 20_000;

// Sets the stack, clears what has to be zero, and lets every trap end in `trapped`.
global_asm!(
    ".section .init, \"ax\"",
    ".globl _start",
    "_start:",
    "la sp, _stack_top",
    "la t0, _trap",
    "csrw mtvec, t0",
    "la t0, _bss_start",
    "la t1, _bss_end",
    "1: bgeu t0, t1, 2f",
    "sw zero, 0(t0)",
    "addi t0, t0, 4",
    "j 1b",
    "2: call start",
    ".balign 4",
    "_trap:",
    "la sp, _stack_top",
    "csrr a0, mcause",
    "csrr a1, mepc",
    "csrr a2, mtval",
    "call trapped",
);

#[unsafe(no_mangle)]
extern "C" fn trapped(cause: u32, at: u32, value: u32) -> ! {
    panic!("trap {cause:#x} at {at:#x}, value {value:#x}")
}

fn read8(address: usize) -> u8 {
    // SAFETY: callers name registers of devices, which may be read at any time.
    unsafe { (address as *const u8).read_volatile() }
}

fn write8(address: usize, value: u8) {
    // SAFETY: callers name registers of devices that only they write.
    unsafe { (address as *mut u8).write_volatile(value) }
}

fn read32(address: usize) -> u32 {
    // SAFETY: callers name registers of devices, which may be read at any time.
    unsafe { (address as *const u32).read_volatile() }
}

fn write32(address: usize, value: u32) {
    // SAFETY: callers name registers of devices that only they write.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// The serial line.
pub struct Serial;

impl Serial {
    /// Returns a byte that has arrived.
    pub fn read(&mut self) -> Option<u8> {
        (read8(LINE_STATUS) & 1 != 0).then(|| read8(UART))
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            write8(UART, *byte);
        }
    }
}

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.send(text.as_bytes());
        Ok(())
    }
}

/// Says one line over the serial line.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        // The line takes everything.
        let _ = writeln!($crate::machine::Serial, $($text)*);
    }};
}

/// Restarts the machine; the loader runs next.
pub fn restart(reason: BootReason) -> ! {
    Kept::note(reason);
    write32(TEST, 0x7777);
    halt()
}

/// Switches the machine off; QEMU ends with this code.
pub fn power_off(code: u16) -> ! {
    write32(
        TEST,
        match code {
            0 => 0x5555,
            code => u32::from(code) << 16 | 0x3333,
        },
    );
    halt()
}

fn halt() -> ! {
    loop {
        riscv::asm::wfi();
    }
}

/// What happens when a program panics: it says so and restarts.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    say!("{info}");
    restart(BootReason::Panic)
}

fn ticks() -> u64 {
    loop {
        let (high, low) = (read32(CLOCK + 4), read32(CLOCK));
        // The low half may have run over in between.
        if high == read32(CLOCK + 4) {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

struct Time(Mutex<RefCell<Queue>>);

impl Driver for Time {
    fn now(&self) -> u64 {
        ticks()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            // The loop of the executor asks for the next moment itself.
            let _ = self.0.borrow_ref_mut(cs).schedule_wake(at, waker);
        });
    }
}

embassy_time_driver::time_driver_impl!(static TIME: Time = Time(Mutex::new(RefCell::new(Queue::new()))));

/// Sleeps until something is due, or until it is time to look at the devices again, which raise no interrupts here.
pub fn sleep() {
    let now = ticks();
    let next = critical_section::with(|cs| TIME.0.borrow_ref_mut(cs).next_expiration(now));
    let until = next.min(now + LOOK_EVERY);
    if until <= now {
        return;
    }
    // The high half last: no moment in between is in the past.
    write32(ALARM + 4, u32::MAX);
    write32(ALARM, until as u32);
    write32(ALARM + 4, (until >> 32) as u32);
    // SAFETY: the timer's interrupt ends the wait; no interrupt is ever taken, because they stay disabled as a whole.
    unsafe { riscv::register::mie::set_mtimer() };
    riscv::asm::wfi();
}
