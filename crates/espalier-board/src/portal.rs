//! The portal's services in the board's own network: addresses, names, pages. What they say is the set-up's; here are sockets.

use core::net::Ipv4Addr;

use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpAddress, IpEndpoint, Stack};
use embassy_time::{Duration, Timer, with_timeout};
use embedded_io_async::Write;
use embedded_storage::nor_flash::NorFlash;
use espalier_device::setup::portal::{REQUEST_TIMEOUT_MS, Request};
use espalier_device::setup::{dhcp, dns};

use crate::desk::Desk;

/// How long a phone may take for a piece of a page.
const PATIENCE: Duration = Duration::from_millis(REQUEST_TIMEOUT_MS);
/// How long to wait after something that should not happen.
const PAUSE: Duration = Duration::from_millis(100);

/// Gives out addresses.
pub async fn addresses<F: NorFlash>(desk: &Desk<F>, stack: Stack<'_>) -> ! {
    let (mut rx_meta, mut rx) = ([PacketMetadata::EMPTY; 2], [0; 2 * dhcp::PACKET]);
    let (mut tx_meta, mut tx) = ([PacketMetadata::EMPTY; 2], [0; 2 * dhcp::PACKET]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    // Nobody else has this port.
    let _ = socket.bind(67);
    let (mut packet, mut answer) = ([0; dhcp::PACKET], [0; dhcp::PACKET]);
    loop {
        let Ok((count, _)) = socket.recv_from(&mut packet).await else {
            Timer::after(PAUSE).await;
            continue;
        };
        let asked = packet.get(..count).unwrap_or_default();
        let reply = {
            let mut station = desk.station.borrow_mut();
            station.setup().dhcp(desk.now_ms(), asked, &mut answer)
        };
        if let Some(reply) = reply
            && let Some(bytes) = answer.get(..reply.len)
        {
            let to = IpEndpoint::new(IpAddress::Ipv4(Ipv4Addr::from(reply.to)), 68);
            // Whoever hears nothing asks again.
            let _ = socket.send_to(bytes, to).await;
        }
    }
}

/// Answers every name with the board's address.
pub async fn names(stack: Stack<'_>) -> ! {
    let (mut rx_meta, mut rx) = ([PacketMetadata::EMPTY; 2], [0; 2 * dns::PACKET]);
    let (mut tx_meta, mut tx) = ([PacketMetadata::EMPTY; 2], [0; 2 * dns::PACKET]);
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    // Nobody else has this port.
    let _ = socket.bind(53);
    let (mut packet, mut answer) = ([0; dns::PACKET], [0; dns::PACKET]);
    loop {
        let Ok((count, from)) = socket.recv_from(&mut packet).await else {
            Timer::after(PAUSE).await;
            continue;
        };
        let asked = packet.get(..count).unwrap_or_default();
        if let Some(bytes) = dns::answer(asked, &mut answer).and_then(|len| answer.get(..len)) {
            // Whoever hears nothing asks again.
            let _ = socket.send_to(bytes, from).await;
        }
    }
}

/// Serves pages, one connection after the other; [`crate::sockets::PAGES`] of these run at the same time.
pub async fn pages<F: NorFlash>(desk: &Desk<F>, stack: Stack<'_>) -> ! {
    let (mut rx, mut tx) = ([0; 1024], [0; 2048]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
        socket.set_timeout(Some(PATIENCE));
        if socket.accept(80).await.is_err() {
            Timer::after(PAUSE).await;
            continue;
        }
        // A phone that goes away in the middle gets no page.
        if page(desk, &mut socket).await.is_some() {
            socket.close();
            let _ = with_timeout(PATIENCE, socket.flush()).await;
        }
        socket.abort();
        let _ = with_timeout(PATIENCE, socket.flush()).await;
    }
}

/// Answers one request; nothing when the connection is of no more use.
async fn page<F: NorFlash>(desk: &Desk<F>, socket: &mut TcpSocket<'_>) -> Option<()> {
    let mut request = Request::default();
    let mut piece = [0; 512];
    while !request.is_whole() {
        match with_timeout(PATIENCE, socket.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => return None,
            Ok(Ok(count)) => {
                request.feed(desk.now_ms(), piece.get(..count)?);
            }
            Err(_) => {
                request.tick(desk.now_ms());
            }
        }
    }
    desk.tell_facts();
    let answer = {
        let (mut station, store) = (desk.station.borrow_mut(), &mut *desk.store.borrow_mut());
        station.setup().http(desk.now_ms(), &request, store)
    };
    desk.station_bell.signal(());
    let mut from = 0;
    loop {
        let count = {
            let mut station = desk.station.borrow_mut();
            station.setup().answer(&answer, from, &mut piece)?
        };
        if count == 0 {
            return Some(());
        }
        let bytes = piece.get(..count)?;
        with_timeout(PATIENCE, socket.write_all(bytes))
            .await
            .ok()?
            .ok()?;
        from += count;
    }
}
