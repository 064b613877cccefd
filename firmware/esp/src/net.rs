//! The network stacks: one as a station in somebody's network, one as the access point of the portal, and the client through
//! which the link reaches its server.

use core::net::{IpAddr, SocketAddr};

use embassy_net::dns::DnsSocket;
use embassy_net::tcp::client::{TcpClient, TcpClientState, TcpConnection};
use embassy_net::{
    Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4, dns, tcp,
};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use esp_radio::wifi::Interface;
use heapless::Vec;
use rand_core::RngCore;
use static_cell::StaticCell;

use crate::random::Random;

/// The link and an exchange.
const CONNECTIONS: usize = 2;
/// Bytes that wait to be sent on a connection, and that were received.
const SEND: usize = 2048;
const RECEIVE: usize = 4096;
/// Sockets of the station: the connections, one for the address, one for names.
const STATION_SOCKETS: usize = CONNECTIONS + 2;
/// Sockets of the portal: addresses, names, two pages at once.
pub const PORTAL_SOCKETS: usize = 4;
/// The address of the board in its own network.
pub const PORTAL_ADDRESS: Ipv4Address = Ipv4Address::new(192, 168, 4, 1);

/// Moves packets between a stack and the radio.
#[embassy_executor::task(pool_size = 2)]
pub async fn carry(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}

/// Makes the stack of the station.
pub fn station(random: &mut Random) -> (Stack<'static>, Runner<'static, Interface>) {
    static RESOURCES: StaticCell<StackResources<STATION_SOCKETS>> = StaticCell::new();
    let resources = RESOURCES.init(StackResources::new());
    let config = Config::dhcpv4(embassy_net::DhcpConfig::default());
    embassy_net::new(Interface::station(), config, resources, random.next_u64())
}

/// Makes the stack of the access point.
pub fn portal(random: &mut Random) -> (Stack<'static>, Runner<'static, Interface>) {
    static RESOURCES: StaticCell<StackResources<PORTAL_SOCKETS>> = StaticCell::new();
    let resources = RESOURCES.init(StackResources::new());
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(PORTAL_ADDRESS, 24),
        gateway: Some(PORTAL_ADDRESS),
        dns_servers: Vec::new(),
    });
    embassy_net::new(
        Interface::access_point(),
        config,
        resources,
        random.next_u64(),
    )
}

/// The way to the server.
pub struct Client {
    tcp: TcpClient<'static, CONNECTIONS, SEND, RECEIVE>,
    dns: DnsSocket<'static>,
}

impl Client {
    /// Makes the client of the station. Call it once.
    pub fn new(stack: Stack<'static>) -> Self {
        static STATE: StaticCell<TcpClientState<CONNECTIONS, SEND, RECEIVE>> = StaticCell::new();
        Client {
            tcp: TcpClient::new(stack, STATE.init(TcpClientState::new())),
            dns: DnsSocket::new(stack),
        }
    }
}

impl TcpConnect for Client {
    type Error = tcp::Error;
    type Connection<'c> = TcpConnection<'c, CONNECTIONS, SEND, RECEIVE>;

    async fn connect<'c>(&'c self, remote: SocketAddr) -> Result<Self::Connection<'c>, tcp::Error> {
        self.tcp.connect(remote).await
    }
}

impl Dns for Client {
    type Error = dns::Error;

    async fn get_host_by_name(&self, host: &str, kind: AddrType) -> Result<IpAddr, dns::Error> {
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
