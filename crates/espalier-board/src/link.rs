//! The link: opens the device socket when the main loop wants it, hears frames, sends the one in the outbox, and ends when it
//! breaks or is wanted no more. It asks nobody before it tells the core what it heard.

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use embedded_nal_async::{Dns, TcpConnect};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::{Input, Storage};
use rand_core::{CryptoRng, RngCore};

use crate::buffers::{FRAME_HEADER, RecordSlices};
use crate::channel::{Channel, Line};
use crate::connect::{dial, secure};
use crate::error::NetError;
use crate::http;
use crate::shared::Shared;
use crate::ws::{self, Frames, Incoming, Opcode};

/// Longest payload of a control frame, in bytes.
const CONTROL: usize = 125;

/// Keeps the link for ever.
pub(crate) async fn keep<N, S, F, R, const QUEUE: usize, const FRAME: usize>(
    net: &N,
    mut records: RecordSlices<'_>,
    message: &mut [u8],
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) where
    N: TcpConnect + Dns,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    loop {
        if !shared.link_wanted.get() {
            shared.outbox_full.set(false);
            shared.set(&shared.link_idle, true);
            shared.bell.until(|| shared.link_wanted.get()).await;
        }
        let mut opened = false;
        let life = connected(net, records.again(), message, shared, &mut opened);
        let Either::Second(Err(error)) =
            select(shared.bell.until(|| !shared.link_wanted.get()), life).await
        else {
            if !opened {
                // The core has lost its patience first.
                shared.trouble.set(Some(NetError::TimedOut));
            }
            continue;
        };
        shared.trouble.set(Some(error));
        // Of a link that was given up in the meantime nobody wants to hear.
        if shared.link_wanted.replace(false) {
            shared.tell(match error {
                _ if opened => Input::Closed,
                NetError::Refused(status) => Input::OpenFailed {
                    status: Some(status),
                },
                _ => Input::OpenFailed { status: None },
            });
        }
    }
}

/// One connection from its beginning to its end, which is always an error.
async fn connected<N, S, F, R, const QUEUE: usize, const FRAME: usize>(
    net: &N,
    records: RecordSlices<'_>,
    message: &mut [u8],
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
    opened: &mut bool,
) -> Result<(), NetError>
where
    N: TcpConnect + Dns,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    let endpoint = shared.target.endpoint().ok_or(NetError::Name)?;
    let socket = dial(net, &endpoint).await?;
    let line = Line::new(socket, endpoint.tls);
    let mut channel = secure(&line, records, &endpoint, shared).await?;
    let mut frames = Frames::default();
    frames.filled = handshake(&mut channel, message, shared).await?;
    *opened = true;
    shared.tell(Input::Opened);
    loop {
        let ready = || shared.is_settled() || shared.outbox_full.get();
        shared.bell.until(ready).await;
        if shared.outbox_full.get() {
            send(&mut channel, shared).await?;
            continue;
        }
        match frames.next(message)? {
            Incoming::Text { len } => {
                let text = message.get(..len).ok_or(NetError::Frame)?;
                let text = core::str::from_utf8(text).map_err(|_| NetError::Frame)?;
                shared.tell(Input::Frame(text));
            }
            Incoming::Control { opcode, payload } => {
                let payload = message.get(payload).ok_or(NetError::Frame)?;
                control(&mut channel, opcode, payload, shared).await?;
            }
            Incoming::TooLong => {
                shared.too_large();
                shared.tell(Input::FrameTooLong);
            }
            Incoming::Other => {}
            Incoming::Partial => {
                let room = message.get_mut(frames.filled..).ok_or(NetError::Frame)?;
                let to_send = shared.bell.until(|| shared.outbox_full.get());
                match channel.read_or(room, to_send).await {
                    Either::First(Ok(0)) => return Err(NetError::Ended),
                    Either::First(count) => frames.filled += count?,
                    Either::Second(()) => {}
                }
            }
        }
    }
}

/// Asks for the socket; returns how many bytes of frames came along with the answer, now at the beginning of the buffer.
async fn handshake<C, S, F, R, const QUEUE: usize, const FRAME: usize>(
    channel: &mut Channel<'_, '_, C>,
    buffer: &mut [u8],
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<usize, NetError>
where
    C: Read + Write,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    let endpoint = shared.target.endpoint().ok_or(NetError::Name)?;
    let key = ws::key(&mut shared.rng());
    let head = http::head(
        "GET",
        &endpoint,
        "/ws/device",
        &shared.target.token,
        format_args!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        ),
    )?;
    channel.write(head.as_bytes()).await?;
    let (length, filled) = http::read_head(channel, buffer).await?;
    let answer = http::Head::parse(buffer.get(..length).unwrap_or_default())?;
    if answer.status != 101 {
        return Err(NetError::Refused(answer.status));
    }
    if !answer
        .socket_accept
        .is_some_and(|text| ws::accepts(&key, text))
    {
        return Err(NetError::Answer);
    }
    buffer.copy_within(length..filled, 0);
    Ok(filled - length)
}

async fn send<C, S, F, R, const QUEUE: usize, const FRAME: usize>(
    channel: &mut Channel<'_, '_, C>,
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<(), NetError>
where
    C: Read + Write,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    let mut outbox = shared.outbox.lock().await;
    let len = outbox.len;
    let at = ws::wrap(outbox.bytes, len, Opcode::Text, &mut shared.rng())?;
    channel
        .write(outbox.bytes.get(at).unwrap_or_default())
        .await?;
    drop(outbox);
    shared.set(&shared.outbox_full, false);
    Ok(())
}

/// Answers a ping, and a close with a close.
async fn control<C, S, F, R, const QUEUE: usize, const FRAME: usize>(
    channel: &mut Channel<'_, '_, C>,
    opcode: Opcode,
    payload: &[u8],
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<(), NetError>
where
    C: Read + Write,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    let reply = match opcode {
        Opcode::Ping => Opcode::Pong,
        Opcode::Close => Opcode::Close,
        _ => return Ok(()),
    };
    let mut frame = [0; FRAME_HEADER + CONTROL];
    let room = frame.get_mut(FRAME_HEADER..).unwrap_or_default();
    room.get_mut(..payload.len())
        .ok_or(NetError::Frame)?
        .copy_from_slice(payload);
    let at = ws::wrap(&mut frame, payload.len(), reply, &mut shared.rng())?;
    channel.write(frame.get(at).unwrap_or_default()).await?;
    if opcode == Opcode::Close {
        return Err(NetError::Ended);
    }
    Ok(())
}
