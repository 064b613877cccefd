//! The network of the board: a virtio network card behind embassy's stack, and the client through which the driver connects.

use core::cell::RefCell;
use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Waker};

use embassy_net::dns::DnsSocket;
use embassy_net::tcp::client::{TcpClient, TcpClientState, TcpConnection};
use embassy_net::{Config, Runner, Stack, StackResources, dns, tcp};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use espalier_virt::virtio::{Memory, Transport, find};
use static_cell::StaticCell;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::DeviceType;

use crate::board::Random;

/// The address that QEMU gives the card when it is told no other.
pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// The link and an exchange.
const CONNECTIONS: usize = 2;
const SEND: usize = 2048;
const RECEIVE: usize = 8192;
/// The connections, one socket for the address, one for names.
const SOCKETS: usize = CONNECTIONS + 2;
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

/// Makes the stack.
pub fn stack(nic: &'static Shared, random: &Random) -> (Stack<'static>, Runner<'static, Port>) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let config = Config::dhcpv4(embassy_net::DhcpConfig::default());
    let seed = u64::from_le_bytes(random.bytes());
    embassy_net::new(
        Port(nic),
        config,
        RESOURCES.init(StackResources::new()),
        seed,
    )
}

/// The way to the server.
pub struct Client {
    tcp: TcpClient<'static, CONNECTIONS, SEND, RECEIVE>,
    dns: DnsSocket<'static>,
}

impl Client {
    /// Makes the client. Call it once.
    pub fn new(stack: Stack<'static>) -> Self {
        static STATE: StaticCell<TcpClientState<CONNECTIONS, SEND, RECEIVE>> = StaticCell::new();
        Client {
            tcp: TcpClient::new(stack, STATE.init_with(TcpClientState::new)),
            dns: DnsSocket::new(stack),
        }
    }
}

impl TcpConnect for Client {
    type Error = tcp::Error;
    type Connection<'a> = TcpConnection<'a, CONNECTIONS, SEND, RECEIVE>;

    async fn connect<'a>(&'a self, to: SocketAddr) -> Result<Self::Connection<'a>, tcp::Error> {
        self.tcp.connect(to).await
    }
}

impl Dns for Client {
    type Error = dns::Error;

    async fn get_host_by_name(&self, host: &str, kind: AddrType) -> Result<IpAddr, dns::Error> {
        self.dns.get_host_by_name(host, kind).await
    }

    async fn get_host_by_address(&self, at: IpAddr, into: &mut [u8]) -> Result<usize, dns::Error> {
        self.dns.get_host_by_address(at, into).await
    }
}
