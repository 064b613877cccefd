//! A connection as bytes, plain or in TLS, that can be listened to and given up listening to without losing a byte.
//!
//! A read of a TLS connection may only be given up between two records: the header of a record that was read is gone with the
//! future that read it. [`Line`] sits below TLS, hands out headers in one piece and knows where records end, so that
//! [`Channel::read_or`] can tell when giving up is safe. A record that has begun must end within [`READ_TIMEOUT`]: a connection
//! that dies in the middle of one says nothing more, not even that it died.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;

use embassy_futures::select::Either;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_time::{Duration, Timer, with_timeout};
use embedded_io_async::{ErrorType, Read, Write};
use embedded_tls::{Aes128GcmSha256, TlsConnection};

use crate::error::NetError;

/// How long a read of an answer may take, and a TLS record from its header to its end.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a write may take.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the header of a TLS record.
const RECORD_HEADER: usize = 5;

/// A TCP connection below TLS or below nothing.
pub(crate) struct Line<S> {
    socket: Mutex<NoopRawMutex, Wire<S>>,
    /// Bytes of the present record that are still to come; none on a line without records.
    left: Cell<Option<usize>>,
}

struct Wire<S> {
    socket: S,
    header: [u8; RECORD_HEADER],
    /// Bytes of the header that are here.
    have: usize,
}

impl<S> Line<S> {
    /// Wraps a connection that will carry TLS records, or not.
    pub fn new(socket: S, records: bool) -> Self {
        Line {
            socket: Mutex::new(Wire {
                socket,
                header: [0; RECORD_HEADER],
                have: 0,
            }),
            left: Cell::new(records.then_some(0)),
        }
    }

    fn is_between_records(&self) -> bool {
        self.left.get().is_none_or(|left| left == 0)
    }

    /// Waits for a read from this line, which is given up only where [`Channel::read_or`] says.
    async fn read_or<T>(
        &self,
        read: impl Future<Output = Result<usize, NetError>>,
        other: impl Future<Output = T>,
    ) -> Either<Result<usize, NetError>, T> {
        let mut read = pin!(read);
        let mut other = pin!(other);
        let mut rest_of_record: Option<Timer> = None;
        poll_fn(|cx| {
            if let Poll::Ready(read) = read.as_mut().poll(cx) {
                return Poll::Ready(Either::First(read));
            }
            if self.is_between_records() {
                rest_of_record = None;
                return other.as_mut().poll(cx).map(Either::Second);
            }
            // Whatever else happens can wait that long, and is asked again when the record has ended.
            let rest = rest_of_record.get_or_insert_with(|| Timer::after(READ_TIMEOUT));
            Pin::new(rest)
                .poll(cx)
                .map(|()| Either::First(Err(NetError::TimedOut)))
        })
        .await
    }
}

impl<S: ErrorType> ErrorType for &Line<S> {
    type Error = S::Error;
}

impl<S: Read> Read for &Line<S> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, S::Error> {
        let mut wire = self.socket.lock().await;
        let wire = &mut *wire;
        match self.left.get() {
            // The layer above asks for a header with room for all of it.
            Some(0) if into.len() >= RECORD_HEADER => {
                while let Some(rest @ [_, ..]) = wire.header.get_mut(wire.have..) {
                    match wire.socket.read(rest).await? {
                        0 => return Ok(0),
                        count => wire.have += count,
                    }
                }
                wire.have = 0;
                let [_, _, _, high, low] = wire.header;
                self.left
                    .set(Some(usize::from(u16::from_be_bytes([high, low]))));
                into[..RECORD_HEADER].copy_from_slice(&wire.header);
                Ok(RECORD_HEADER)
            }
            Some(left) if left > 0 => {
                let most = into.len().min(left);
                let count = wire.socket.read(&mut into[..most]).await?;
                self.left.set(Some(left.saturating_sub(count)));
                Ok(count)
            }
            _ => wire.socket.read(into).await,
        }
    }
}

impl<S: Write> Write for &Line<S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, S::Error> {
        self.socket.lock().await.socket.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), S::Error> {
        self.socket.lock().await.socket.flush().await
    }
}

/// A connection to the server.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per future, and no heap to put the larger one on"
)]
pub(crate) enum Channel<'l, 'b, S: Read + Write> {
    Plain(&'l Line<S>),
    Tls(&'l Line<S>, TlsConnection<'b, &'l Line<S>, Aes128GcmSha256>),
}

impl<S: Read + Write> Channel<'_, '_, S> {
    async fn read_once(&mut self, into: &mut [u8]) -> Result<usize, NetError> {
        match self {
            Channel::Plain(line) => line.read(into).await.map_err(|_| NetError::Broken),
            Channel::Tls(_, tls) => match tls.read(into).await {
                Err(embedded_tls::TlsError::ConnectionClosed) => Ok(0),
                other => other.map_err(|_| NetError::Broken),
            },
        }
    }

    /// Reads some bytes; 0 at the end. After a time-out the connection is of no more use.
    pub async fn read(&mut self, into: &mut [u8]) -> Result<usize, NetError> {
        with_timeout(READ_TIMEOUT, self.read_once(into))
            .await
            .unwrap_or(Err(NetError::TimedOut))
    }

    /// Reads some bytes, or gives up when something else happens, without losing a byte. Waits for either without limit, but not
    /// for the rest of a record: after that time-out the connection is of no more use.
    pub async fn read_or<T>(
        &mut self,
        into: &mut [u8],
        other: impl Future<Output = T>,
    ) -> Either<Result<usize, NetError>, T> {
        let line = match self {
            Channel::Plain(line) | Channel::Tls(line, _) => *line,
        };
        line.read_or(self.read_once(into), other).await
    }

    /// Writes all bytes and lets them leave.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let all = async {
            match self {
                Channel::Plain(line) => {
                    line.write_all(bytes).await.map_err(|_| NetError::Broken)?;
                    line.flush().await.map_err(|_| NetError::Broken)
                }
                Channel::Tls(_, tls) => {
                    tls.write_all(bytes).await.map_err(|_| NetError::Broken)?;
                    tls.flush().await.map_err(|_| NetError::Broken)
                }
            }
        };
        with_timeout(WRITE_TIMEOUT, all)
            .await
            .unwrap_or(Err(NetError::TimedOut))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::rc::Rc;
    use std::vec::Vec;

    use core::cell::RefCell;
    use core::task::{Context, Waker};

    use super::*;

    /// A socket whose bytes a test supplies when it likes.
    #[derive(Clone, Default)]
    struct Script(Rc<RefCell<VecDeque<u8>>>);

    impl ErrorType for Script {
        type Error = Infallible;
    }

    impl Read for Script {
        async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
            poll_fn(|_| {
                let mut bytes = self.0.borrow_mut();
                if bytes.is_empty() {
                    return Poll::Pending;
                }
                let count = bytes.len().min(into.len());
                for (to, byte) in into.iter_mut().zip(bytes.drain(..count)) {
                    *to = byte;
                }
                Poll::Ready(Ok(count))
            })
            .await
        }
    }

    impl Write for Script {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            Ok(bytes.len())
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// Polls a future once and drops it.
    fn once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_header_that_comes_in_pieces_survives_readers_that_give_up() {
        let script = Script::default();
        let line = Line::new(script.clone(), true);
        let mut line = &line;
        let record = [0x17, 3, 3, 0, 4, 9, 8, 7, 6, 0x17, 3, 3, 0, 0];
        let mut seen = Vec::new();
        let mut into = [0; 16];
        for byte in record {
            script.0.borrow_mut().push_back(byte);
            let between = line.is_between_records();
            if let Some(Ok(count)) = once(line.read(&mut into)) {
                seen.extend_from_slice(&into[..count]);
                // A header is handed out whole, or not at all.
                assert_eq!(count, if between { RECORD_HEADER } else { 1 });
            }
        }
        assert_eq!(seen, record);
    }

    #[test]
    fn reading_is_given_up_at_once_between_records_and_only_there() {
        let script = Script::default();
        let line = Line::new(script.clone(), false);
        let mut channel: Channel<'_, '_, Script> = Channel::Plain(&line);
        let mut into = [0; 4];
        let given_up = once(channel.read_or(&mut into, core::future::ready(5)));
        assert!(matches!(given_up, Some(Either::Second(5))));
        // What is there is read first, whatever else happens.
        script.0.borrow_mut().extend([1, 2]);
        let read = once(channel.read_or(&mut into, core::future::ready(5)));
        assert!(matches!(read, Some(Either::First(Ok(2)))));
        // In the middle of a record there is no way out but its end.
        line.left.set(Some(3));
        assert!(once(channel.read_or(&mut into, core::future::ready(5))).is_none());
        script.0.borrow_mut().extend([7, 8, 9]);
        let read = once(channel.read_or(&mut into, core::future::ready(5)));
        assert!(matches!(read, Some(Either::First(Ok(3)))));
    }

    /// A socket on which a record begins and goes on by some bytes every five seconds, too slowly to end.
    struct Dripping(bool);

    impl ErrorType for Dripping {
        type Error = Infallible;
    }

    impl Read for Dripping {
        async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
            if core::mem::replace(&mut self.0, true) {
                Timer::after_secs(5).await;
            }
            // The header is whole at once.
            let count = into.len().min(RECORD_HEADER);
            into[..count].copy_from_slice(&[0x17, 3, 3, 1, 0][..count]);
            Ok(count)
        }
    }

    impl Write for Dripping {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            Ok(bytes.len())
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_has_begun_has_its_time_and_no_more() {
        let began = embassy_time::Instant::now();
        let line = Line::new(Dripping(false), true);
        let mut below = &line;
        // What TLS does: the header, then the rest of the record until all of it is there.
        let whole_record = async {
            let mut into = [0; 16];
            loop {
                let _ = below.read(&mut into).await;
            }
        };
        let read: Either<Result<usize, NetError>, ()> =
            line.read_or(whole_record, core::future::pending()).await;
        assert!(matches!(read, Either::First(Err(NetError::TimedOut))));
        assert_eq!(began.elapsed(), READ_TIMEOUT);
        // Without a record there is no limit to waiting for one.
        let line = Line::new(Script::default(), true);
        let minutes = Timer::after_secs(600);
        let read: Either<Result<usize, NetError>, ()> =
            line.read_or(core::future::pending(), minutes).await;
        assert!(matches!(read, Either::Second(())));
    }
}
