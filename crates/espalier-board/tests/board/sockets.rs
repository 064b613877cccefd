//! Both network stacks of a chip with all their sockets, made as on the chip: the station of one board in the portal of another.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_futures::join::{join, join_array};
use embassy_net::StackResources;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embedded_io_async::{Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use espalier_board::desk::Desk;
use espalier_board::portal;
use espalier_board::sockets::{self, CONNECTIONS, Client, Connection, Lines, PAGES};
use espalier_device::node::StationInput;
use espalier_device::setup::Seen;
use tokio::time::timeout;

use crate::story::PATIENCE;
use crate::whole::{Shared, desk, flash};

const MTU: usize = 1514;

/// One end of a wire: what has come, and who waits for it.
#[derive(Default)]
struct End {
    packets: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
}

/// A network card at a wire.
struct Card {
    mac: u8,
    own: Rc<RefCell<End>>,
    other: Rc<RefCell<End>>,
}

/// Two cards with a wire between them.
fn wire() -> (Card, Card) {
    let (a, b) = (Rc::default(), Rc::default());
    let card = |mac, own: &Rc<RefCell<End>>, other: &Rc<RefCell<End>>| Card {
        mac,
        own: Rc::clone(own),
        other: Rc::clone(other),
    };
    (card(1, &a, &b), card(2, &b, &a))
}

struct Packet(Vec<u8>);

impl RxToken for Packet {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(mut self, read: F) -> T {
        read(&mut self.0)
    }
}

struct Send(Rc<RefCell<End>>);

impl TxToken for Send {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, len: usize, write: F) -> T {
        let mut packet = vec![0; len];
        let value = write(&mut packet);
        let mut end = self.0.borrow_mut();
        end.packets.push_back(packet);
        if let Some(waker) = end.waker.take() {
            waker.wake();
        }
        value
    }
}

impl Driver for Card {
    type RxToken<'a> = Packet;
    type TxToken<'a> = Send;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Packet, Send)> {
        let mut own = self.own.borrow_mut();
        own.waker = Some(cx.waker().clone());
        let packet = own.packets.pop_front()?;
        Some((Packet(packet), Send(Rc::clone(&self.other))))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Send> {
        Some(Send(Rc::clone(&self.other)))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([2, 0, 0, 0, 0, self.mac])
    }
}

/// Connects; a page that has just been served refuses until its socket listens again.
async fn connect<'c>(client: &'c Client<'static>, at: SocketAddr) -> Connection<'c, 'static> {
    loop {
        if let Ok(connection) = client.connect(at).await {
            return connection;
        }
        tokio::task::yield_now().await;
    }
}

/// Fetches the page of the portal over a connection of the client; something happens when its first bytes are there.
async fn page_while(client: &Client<'static>, at: SocketAddr, happens: impl FnOnce()) -> String {
    let mut connection = connect(client, at).await;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", at.ip());
    connection.write_all(request.as_bytes()).await.unwrap();
    connection.flush().await.unwrap();
    let (mut text, mut piece) = (Vec::new(), [0; 512]);
    let count = connection.read(&mut piece).await.unwrap();
    text.extend_from_slice(&piece[..count]);
    happens();
    while let Ok(count @ 1..) = connection.read(&mut piece).await {
        text.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(text).unwrap()
}

/// Fetches the page of the portal.
async fn page(client: &Client<'static>, at: SocketAddr) -> String {
    page_while(client, at, || {}).await
}

/// A scan ends, as it does that the opening of the portal begins.
fn scan_ends(desk: &Desk<Shared>, ssid: &str) {
    let seen = Seen {
        ssid,
        rssi: -50,
        encryption: 3,
    };
    desk.tell(StationInput::Scanned(&[seen]));
}

async fn at_the_portal(client: Client<'static>, desk: &Desk<Shared>) {
    // The portal gives it an address, and is every name.
    let found = client.get_host_by_name("anything.example", AddrType::IPv4);
    let address = found.await.unwrap();
    assert_eq!(address, IpAddr::from([192, 168, 4, 1]));
    let at = SocketAddr::new(address, 80);
    // As many pages as the portal serves at once, over as many connections as the client has; again and again.
    for _ in 0..5 {
        for text in join_array([(); CONNECTIONS].map(|()| page(&client, at))).await {
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            assert!(text.contains("</html>"), "{text}");
        }
    }
    // A scan that ends in the middle of a page leaves it whole.
    for ssid in ["Garden", "Cellar"] {
        let text = page_while(&client, at, || scan_ends(desk, ssid)).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = std::format!("Content-Length: {}\r\n", body.len());
        assert!(
            head.contains(&length) && body.ends_with("</html>\n"),
            "{text}"
        );
        assert!(!body.contains(ssid) && page(&client, at).await.contains(ssid));
    }
    // One more than there are sockets is refused, and goes when another one has gone.
    let first = connect(&client, at).await;
    let mut second = connect(&client, at).await;
    assert!(client.connect(at).await.is_err());
    drop(first);
    drop(connect(&client, at).await);
    // The portal takes a request that comes in the end.
    second
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(matches!(second.read(&mut [0; 64]).await, Ok(1..)));
    drop(second);
    // A server with an address that the stack does not speak is an error, not a crash.
    let ipv6 = "[::1]:80".parse().unwrap();
    assert!(client.connect(ipv6).await.is_err());
}

#[tokio::test]
async fn a_station_reaches_a_portal_with_every_socket_in_use() {
    let (phone, radio) = wire();
    let desk = desk(&flash(""));
    let memory = Box::leak(Box::new(StackResources::<{ sockets::STATION }>::new()));
    let (station, mut station_runner) = sockets::station(phone, memory, 1);
    let memory = Box::leak(Box::new(StackResources::<{ sockets::PORTAL }>::new()));
    let (portal, mut portal_runner) = sockets::portal(radio, memory, 2);
    let lines = Box::leak(Box::new(Lines::<2048, 4096>::new()));
    let client = Client::new(station, lines);
    let services = async {
        join(
            join(portal::addresses(desk, portal), portal::names(portal)),
            join_array([(); PAGES].map(|()| portal::pages(desk, portal))),
        )
        .await
    };
    let all = async {
        tokio::select! {
            _ = station_runner.run() => {}
            _ = portal_runner.run() => {}
            _ = services => {}
            () = at_the_portal(client, desk) => {}
        }
    };
    timeout(PATIENCE, all).await.expect("nothing hangs");
}
