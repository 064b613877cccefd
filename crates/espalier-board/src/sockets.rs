//! The network stacks of a chip with a radio: one as a station in somebody's network, one as the access point of the portal, and
//! the client through which the driver reaches its server. How many sockets each has follows from what uses them.

use core::net::{IpAddr, SocketAddr};

use embassy_net::dns::DnsSocket;
use embassy_net::driver::Driver;
use embassy_net::tcp::{self, State, TcpSocket};
use embassy_net::{
    Config, DhcpConfig, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4, dns,
};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::{Mutex, MutexGuard};
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{ErrorType, Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use espalier_device::setup::ADDRESS;
use heapless::Vec;

/// Connections of the client: the link and an exchange.
pub const CONNECTIONS: usize = 2;
/// Pages that the portal serves at the same time.
pub const PAGES: usize = 2;
/// The socket for names that a stack makes for itself, whether anybody asks it or not.
const NAMES: usize = 1;
/// The socket for the address of a stack that asks its network for one.
const DHCP: usize = 1;
/// The portal's socket that gives out addresses, and the one that answers names.
const SERVICES: usize = 2;
/// Sockets of the station.
pub const STATION: usize = NAMES + DHCP + CONNECTIONS;
/// Sockets of the portal.
pub const PORTAL: usize = NAMES + SERVICES + PAGES;

/// How long the other side of a connection may be silent when it was sent something. Names and handshakes have time-outs of their
/// own; this one ends a connection whose network has gone.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the other side of a silent connection is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long the end of a socket's last connection may take to leave before its next one begins.
const GOODBYE: Duration = Duration::from_secs(1);

/// Makes the stack of the station.
pub fn station<'d, D: Driver>(
    driver: D,
    sockets: &'d mut StackResources<STATION>,
    seed: u64,
) -> (Stack<'d>, Runner<'d, D>) {
    let config = Config::dhcpv4(DhcpConfig::default());
    embassy_net::new(driver, config, sockets, seed)
}

/// Makes the stack of the access point.
pub fn portal<'d, D: Driver>(
    driver: D,
    sockets: &'d mut StackResources<PORTAL>,
    seed: u64,
) -> (Stack<'d>, Runner<'d, D>) {
    let [a, b, c, d] = ADDRESS;
    let address = Ipv4Address::new(a, b, c, d);
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: Some(address),
        dns_servers: Vec::new(),
    });
    embassy_net::new(driver, config, sockets, seed)
}

/// Bytes of one connection: `SEND` wait to be sent, `RECEIVE` were received.
type Line<const SEND: usize, const RECEIVE: usize> = ([u8; SEND], [u8; RECEIVE]);

/// The memory of the client's connections.
#[derive(Debug)]
pub struct Lines<const SEND: usize, const RECEIVE: usize>([Line<SEND, RECEIVE>; CONNECTIONS]);

impl<const SEND: usize, const RECEIVE: usize> Lines<SEND, RECEIVE> {
    /// Makes empty memory.
    pub const fn new() -> Self {
        Lines([const { ([0; SEND], [0; RECEIVE]) }; CONNECTIONS])
    }
}

impl<const SEND: usize, const RECEIVE: usize> Default for Lines<SEND, RECEIVE> {
    fn default() -> Self {
        Self::new()
    }
}

type Socket<'d> = Mutex<NoopRawMutex, TcpSocket<'d>>;

/// The way to the server. Its sockets live as long as it does: one whose connection was dropped still says so to the other side.
///
/// Whoever asks before there is a network waits for it, as long as its patience lasts.
pub struct Client<'d> {
    stack: Stack<'d>,
    dns: DnsSocket<'d>,
    sockets: [Socket<'d>; CONNECTIONS],
}

impl core::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl<'d> Client<'d> {
    /// Makes the client of the station.
    pub fn new<const SEND: usize, const RECEIVE: usize>(
        stack: Stack<'d>,
        lines: &'d mut Lines<SEND, RECEIVE>,
    ) -> Self {
        Client {
            stack,
            dns: DnsSocket::new(stack),
            sockets: lines.0.each_mut().map(|(send, receive)| {
                let mut socket = TcpSocket::new(stack, receive, send);
                socket.set_timeout(Some(TIMEOUT));
                socket.set_keep_alive(Some(KEEP_ALIVE));
                Mutex::new(socket)
            }),
        }
    }

    /// Takes a socket that nobody uses; rather one that has said everything.
    fn free(&self) -> Option<MutexGuard<'_, NoopRawMutex, TcpSocket<'d>>> {
        let free = || self.sockets.iter().filter_map(|s| s.try_lock().ok());
        free()
            .find(|socket| socket.state() == State::Closed)
            .or_else(|| free().next())
    }
}

/// A connection of the client.
pub struct Connection<'c, 'd>(MutexGuard<'c, NoopRawMutex, TcpSocket<'d>>);

impl core::fmt::Debug for Connection<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Connection").field(&self.0.state()).finish()
    }
}

impl Drop for Connection<'_, '_> {
    fn drop(&mut self) {
        match self.0.state() {
            // Nobody has answered yet, so there is nobody to tell.
            State::SynSent => self.0.abort(),
            _ => self.0.close(),
        }
    }
}

impl<'d> TcpConnect for Client<'d> {
    type Error = tcp::Error;
    type Connection<'c>
        = Connection<'c, 'd>
    where
        Self: 'c;

    async fn connect<'c>(&'c self, remote: SocketAddr) -> Result<Self::Connection<'c>, tcp::Error> {
        // The stack speaks nothing else.
        let SocketAddr::V4(remote) = remote else {
            return Err(tcp::Error::ConnectionReset);
        };
        self.stack.wait_config_up().await;
        let mut connection = Connection(self.free().ok_or(tcp::Error::ConnectionReset)?);
        // What the last user of the socket left; the other side should know that nobody is there any more.
        connection.0.abort();
        let _ = with_timeout(GOODBYE, connection.0.flush()).await;
        let connected = connection.0.connect(remote).await;
        connected.map_err(|_| tcp::Error::ConnectionReset)?;
        Ok(connection)
    }
}

impl ErrorType for Connection<'_, '_> {
    type Error = tcp::Error;
}

impl Read for Connection<'_, '_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, tcp::Error> {
        self.0.read(into).await
    }
}

impl Write for Connection<'_, '_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, tcp::Error> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), tcp::Error> {
        self.0.flush().await
    }
}

impl Dns for Client<'_> {
    type Error = dns::Error;

    async fn get_host_by_name(&self, host: &str, kind: AddrType) -> Result<IpAddr, dns::Error> {
        self.stack.wait_config_up().await;
        self.dns.get_host_by_name(host, kind).await
    }

    async fn get_host_by_address(
        &self,
        address: IpAddr,
        result: &mut [u8],
    ) -> Result<usize, dns::Error> {
        self.dns.get_host_by_address(address, result).await
    }
}
