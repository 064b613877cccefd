//! Lines in memory, which can do what real ones do without saying so: die in the middle of a record, or never answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use rustls::ServerConfig;
use tokio::io::{
    AsyncRead, AsyncWrite, Join, ReadBuf, ReadHalf, SimplexStream, WriteHalf, join, simplex,
};
use tokio::time::{Sleep, sleep};

use crate::server::Server;

/// What a board may send before the server reads: less than a full record, as on a chip.
const UP: usize = 256;
/// What a server may send before the board reads.
const DOWN: usize = 65_536;
/// Writes shorter than this are not cut: acknowledgements, pings.
const LONG: usize = 200;

type End = Join<ReadHalf<SimplexStream>, WriteHalf<SimplexStream>>;

/// How a line fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// The next long write gets there by half; then the line is dead in both directions, and nobody hears of it.
    Cut,
    /// The same, but its other half gets there that much later.
    CutFor(Duration),
    Dead,
}

/// The fault of one line, for who breaks it.
pub type Breaker = Arc<Mutex<Fault>>;

/// The server's end of a line.
pub struct Wire {
    end: End,
    fault: Breaker,
    late: Option<(Pin<Box<Sleep>>, Vec<u8>)>,
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some((time, rest)) = &mut this.late {
            ready!(time.as_mut().poll(cx));
            let sent = Pin::new(&mut this.end).poll_write(cx, rest);
            assert!(matches!(sent, Poll::Ready(Ok(count)) if count == rest.len()));
            this.late = None;
        }
        if *this.fault.lock().unwrap() == Fault::Dead {
            return Poll::Pending;
        }
        Pin::new(&mut this.end).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut fault = this.fault.lock().unwrap();
        let late = match *fault {
            Fault::Dead => return Poll::Ready(Ok(bytes.len())),
            Fault::Cut if bytes.len() >= LONG => None,
            Fault::CutFor(time) if bytes.len() >= LONG => Some(time),
            _ => return Pin::new(&mut this.end).poll_write(cx, bytes),
        };
        *fault = Fault::Dead;
        let (now, later) = bytes.split_at(bytes.len() / 2);
        this.late = late.map(|time| (Box::pin(sleep(time)), later.to_vec()));
        let sent = Pin::new(&mut this.end).poll_write(cx, now);
        assert!(matches!(sent, Poll::Ready(Ok(count)) if count == now.len()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().end).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().end).poll_shutdown(cx)
    }
}

/// The network between a board and one server.
#[derive(Clone)]
pub struct Lines {
    server: Server,
    tls: Option<Arc<ServerConfig>>,
    /// The server's ends of lines that nobody serves; none while somebody does.
    hole: Arc<Mutex<Option<Vec<End>>>>,
}

impl Lines {
    pub fn new(server: Server, tls: Option<Arc<ServerConfig>>) -> Self {
        Lines {
            server,
            tls,
            hole: Arc::default(),
        }
    }

    /// Lets the server take connections and never answer on them, or serve them again.
    pub fn be_a_hole(&self, yes: bool) {
        *self.hole.lock().unwrap() = yes.then(Vec::new);
    }
}

impl TcpConnect for Lines {
    type Error = io::Error;
    type Connection<'a> = FromTokio<End>;

    async fn connect<'a>(&'a self, _: SocketAddr) -> io::Result<Self::Connection<'a>> {
        let (up, to_server) = simplex(UP);
        let (down, to_board) = simplex(DOWN);
        let theirs = join(up, to_board);
        match &mut *self.hole.lock().unwrap() {
            Some(ends) => ends.push(theirs),
            None => {
                let fault = Breaker::default();
                let wire = Wire {
                    end: theirs,
                    fault: Arc::clone(&fault),
                    late: None,
                };
                let (server, tls) = (self.server.clone(), self.tls.clone());
                tokio::spawn(async move { server.take(wire, tls, fault).await });
            }
        }
        Ok(FromTokio::new(join(down, to_server)))
    }
}

impl Dns for Lines {
    type Error = io::Error;

    async fn get_host_by_name(&self, _: &str, _: AddrType) -> io::Result<IpAddr> {
        Ok([10, 0, 0, 1].into())
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
