//! The network of the board: a virtio network card behind embassy's stack, and the client through which the driver connects.

use core::cell::RefCell;
use core::task::{Context, Waker};

use embassy_net::{Runner, Stack, StackResources};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use espalier_board::radio::{self, Air};
use espalier_board::sockets::{self, Client, Lines};
use espalier_device::settings::Network;
use espalier_device::setup::Seen;
use espalier_virt::say;
use espalier_virt::virtio::{Memory, Transport, find};
use static_cell::StaticCell;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::DeviceType;

use crate::Desk;
use crate::board::Random;

/// The address that QEMU gives the card when it is told no other.
pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// Bytes that wait to be sent on a connection, and that were received.
const SEND: usize = 2048;
const RECEIVE: usize = 8192;
/// Packets that the card may have received.
const PACKETS: usize = 8;
const PACKET: usize = 2048;
/// The longest packet with its Ethernet header.
const FRAME: usize = 1514;

/// The card with its buffers; each is with the card or being read.
pub struct Nic {
    card: VirtIONetRaw<Memory, Transport, 16>,
    buffers: &'static mut [[u8; PACKET]; PACKETS],
    /// Which buffer a token is.
    tokens: [Option<u16>; PACKETS],
}

impl Nic {
    /// Finds the card and hands it all buffers. Call it once.
    pub fn new() -> Option<Self> {
        static BUFFERS: StaticCell<[[u8; PACKET]; PACKETS]> = StaticCell::new();
        let mut nic = Nic {
            card: VirtIONetRaw::new(find(DeviceType::Network)?).ok()?,
            buffers: BUFFERS.init([[0; PACKET]; PACKETS]),
            tokens: [None; PACKETS],
        };
        (0..PACKETS).for_each(|n| nic.give(n));
        Some(nic)
    }

    fn give(&mut self, n: usize) {
        // SAFETY: the buffer is static and not touched until the card gives it back.
        self.tokens[n] = unsafe { self.card.receive_begin(&mut self.buffers[n]) }.ok();
    }

    /// Copies the next packet, whose buffer goes back to the card; returns how long it is.
    fn take(&mut self, into: &mut [u8; FRAME]) -> Option<usize> {
        let token = self.card.poll_receive()?;
        let n = self.tokens.iter().position(|known| *known == Some(token))?;
        let buffer = &mut self.buffers[n];
        // SAFETY: this is the buffer that `give` passed with this token.
        let (start, len) = unsafe { self.card.receive_complete(token, buffer) }.ok()?;
        let len = len.min(FRAME);
        into[..len].copy_from_slice(buffer.get(start..start + len)?);
        self.give(n);
        Some(len)
    }
}

/// The card, shared by what receives and what sends.
pub struct Shared {
    nic: RefCell<Nic>,
    waker: RefCell<Option<Waker>>,
}

impl Shared {
    pub const fn new(nic: Nic) -> Self {
        Shared {
            nic: RefCell::new(nic),
            waker: RefCell::new(None),
        }
    }

    /// Wakes the stack when a packet is there: the card raises no interrupts here.
    pub fn look(&self) {
        if self.nic.borrow_mut().card.poll_receive().is_some()
            && let Some(waker) = self.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

/// The card as the stack sees it.
pub struct Port(&'static Shared);

pub struct Received(&'static Shared);

pub struct ToSend(&'static Shared);

impl RxToken for Received {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, read: F) -> T {
        // The stack answers some packets while it reads them, so the card must be free.
        let mut packet = [0; FRAME];
        let len = self.0.nic.borrow_mut().take(&mut packet).unwrap_or(0);
        read(&mut packet[..len])
    }
}

impl TxToken for ToSend {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, len: usize, write: F) -> T {
        let mut packet = [0; FRAME];
        let value = write(&mut packet[..len]);
        // A packet that is lost is sent again by those who need it.
        let _ = self.0.nic.borrow_mut().card.send(&packet[..len]);
        value
    }
}

impl Driver for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = ToSend;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received, ToSend)> {
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        let there = self.0.nic.borrow_mut().card.poll_receive().is_some();
        there.then_some((Received(self.0), ToSend(self.0)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<ToSend> {
        Some(ToSend(self.0))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.0.nic.borrow().card.mac_address())
    }
}

#[embassy_executor::task]
pub async fn carry(mut runner: Runner<'static, Port>) -> ! {
    runner.run().await
}

/// Makes the stack. Call it once.
pub fn stack(nic: &'static Shared, random: &Random) -> (Stack<'static>, Runner<'static, Port>) {
    static SOCKETS: StaticCell<StackResources<{ sockets::STATION }>> = StaticCell::new();
    let seed = u64::from_le_bytes(random.bytes());
    sockets::station(Port(nic), SOCKETS.init(StackResources::new()), seed)
}

/// Makes the way to the server. Call it once.
pub fn client(stack: Stack<'static>) -> Client<'static> {
    static LINES: StaticCell<Lines<SEND, RECEIVE>> = StaticCell::new();
    Client::new(stack, LINES.init_with(Lines::new))
}

/// A cable where others have a radio: nobody looks for networks, and it is never in one by the wish of the station.
pub struct Cable;

impl Air for Cable {
    async fn scan(&mut self, tell: impl FnOnce(&[Seen<'_>])) -> bool {
        tell(&[]);
        true
    }

    async fn connect(&mut self, _network: &Network) -> Result<(), bool> {
        Err(false)
    }

    async fn address(&mut self) -> [u8; 4] {
        core::future::pending().await
    }

    async fn disconnect(&mut self) {}

    async fn lost(&mut self) {
        core::future::pending().await
    }

    fn portal(&mut self, _open: bool) -> bool {
        true
    }

    fn rssi(&mut self) -> Option<i32> {
        None
    }
}

/// Obeys the station without doing anything.
#[embassy_executor::task]
pub async fn radio(desk: &'static Desk) -> ! {
    radio::serve(desk, Cable).await
}

/// Says which address the board has.
#[embassy_executor::task]
pub async fn address(desk: &'static Desk, stack: Stack<'static>) {
    stack.wait_config_up().await;
    if let Some(config) = stack.config_v4() {
        desk.address.set(Some(config.address.address().octets()));
        say!("espalier: the board has the address {}", config.address);
    }
}
