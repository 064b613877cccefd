//! The serial lines, UART and, where the chip has it, USB: both carry the console and Improv, and both say the same. What is said
//! is the set-up's.

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};
use esp_hal::Async;
use esp_hal::peripherals::UART0;
#[cfg(feature = "usb")]
use esp_hal::peripherals::USB_DEVICE;
use esp_hal::uart::{Config, Uart, UartRx, UartTx};
#[cfg(feature = "usb")]
use esp_hal::usb::usb_serial_jtag::{UsbSerialJtag, UsbSerialJtagRx, UsbSerialJtagTx};
use espalier_device::node::StationInput;

use crate::chip;
use crate::desk::Desk;

/// How long a line may take for a piece: nobody may be at the other end of USB.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes of a piece.
const PIECE: usize = 64;

/// The lines.
pub struct Lines {
    /// What comes over USB.
    #[cfg(feature = "usb")]
    pub usb_in: UsbSerialJtagRx<'static, Async>,
    /// What comes over the UART, when its driver starts.
    pub uart_in: Option<UartRx<'static, Async>>,
    /// Where to say something.
    pub out: Out,
}

/// Where to say something.
pub struct Out {
    #[cfg(feature = "usb")]
    usb: UsbSerialJtagTx<'static, Async>,
    uart: Option<UartTx<'static, Async>>,
}

impl Lines {
    /// Takes the lines.
    pub fn new(
        #[cfg(feature = "usb")] usb: USB_DEVICE<'static>,
        uart: UART0<'static>,
        pins: chip::Console,
    ) -> Self {
        #[cfg(feature = "usb")]
        let (usb_in, usb_out) = UsbSerialJtag::new(usb).into_async().split();
        let uart = Uart::new(uart, Config::default())
            .ok()
            .map(|uart| uart.with_rx(pins.rx).with_tx(pins.tx).into_async().split());
        let (uart_in, uart_out) = uart.unzip();
        Lines {
            #[cfg(feature = "usb")]
            usb_in,
            uart_in,
            out: Out {
                #[cfg(feature = "usb")]
                usb: usb_out,
                uart: uart_out,
            },
        }
    }
}

async fn listen(desk: &Desk, mut line: impl Read) -> ! {
    let mut piece = [0; PIECE];
    loop {
        match line.read(&mut piece).await {
            Ok(count) => {
                let heard = piece.get(..count).unwrap_or_default();
                desk.tell_facts();
                desk.tell(StationInput::Serial(heard));
            }
            // Noise on the line: the set-up asks again for what it did not understand.
            Err(_) => embassy_time::Timer::after(PATIENCE).await,
        }
    }
}

/// Listens to USB.
#[cfg(feature = "usb")]
#[embassy_executor::task]
pub async fn listen_usb(desk: &'static Desk, line: UsbSerialJtagRx<'static, Async>) {
    listen(desk, line).await
}

/// Listens to the UART.
#[embassy_executor::task]
pub async fn listen_uart(desk: &'static Desk, line: UartRx<'static, Async>) {
    listen(desk, line).await
}

/// Says on the lines what the desk has for them.
#[embassy_executor::task]
pub async fn speak(desk: &'static Desk, mut out: Out) {
    let mut piece = [0; PIECE];
    loop {
        let count = desk.serial.read(&mut piece).await;
        let said = piece.get(..count).unwrap_or_default();
        // A line that nobody reads loses what is said.
        #[cfg(feature = "usb")]
        let _ = with_timeout(PATIENCE, out.usb.write_all(said)).await;
        if let Some(uart) = &mut out.uart {
            let _ = with_timeout(PATIENCE, uart.write_all(said)).await;
        }
    }
}
