//! The exchange: the one request or download that is on its way, each on a connection of its own. It ends when it has told the
//! core the outcome, or when it is given up, and then says nothing more.

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, with_timeout};
use embedded_nal_async::{Dns, TcpConnect};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::{Input, Method, Storage};
use rand_core::{CryptoRng, RngCore};

use crate::buffers::RecordSlices;
use crate::channel::{Channel, Line};
use crate::connect::{dial, secure};
use crate::error::NetError;
use crate::fetch::{self, Fetch};
use crate::http::{self, Body};
use crate::shared::{Job, Kind, Shared};

/// How long a request may take, whatever comes in drops: as long as the core waits for any of them.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Works on jobs for ever.
pub(crate) async fn work<N, S, F, R, W, const QUEUE: usize, const FRAME: usize>(
    net: &N,
    mut records: RecordSlices<'_>,
    answer: &mut [u8],
    beside: &mut W,
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) where
    N: TcpConnect + Dns,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
    W: Fetch,
{
    loop {
        // A job that waits was not begun, but whoever gives it up must wait until it is known.
        if !shared.job_waits.get() {
            shared.set(&shared.exchange_idle, true);
        }
        let job_waits = || shared.bell.until(|| shared.job_waits.get());
        if let Either::Second(wanted) = select(job_waits(), beside.wanted()).await {
            let fetching = fetch::fetch(net, records.again(), answer, &wanted, beside, shared);
            let done = select(job_waits(), with_timeout(fetch::TIMEOUT, fetching)).await;
            let fetched = match done {
                Either::First(()) => None,
                Either::Second(done) => done
                    .unwrap_or(Err(NetError::TimedOut))
                    .inspect_err(|error| shared.trouble.set(Some(*error)))
                    .ok(),
            };
            match &fetched {
                Some((status, etag)) => beside.ended(Some(*status), etag.as_deref()),
                None => beside.ended(None, None),
            }
            continue;
        }
        shared.job_waits.set(false);
        let job = async {
            let job = shared.job.lock().await;
            perform(net, records.again(), answer, &job, shared).await
        };
        if let Either::Second(Err(error)) =
            select(shared.bell.until(|| shared.abandon.get()), job).await
        {
            shared.trouble.set(Some(error));
        }
    }
}

async fn perform<N, S, F, R, const QUEUE: usize, const FRAME: usize>(
    net: &N,
    records: RecordSlices<'_>,
    answer: &mut [u8],
    job: &Job<FRAME>,
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<(), NetError>
where
    N: TcpConnect + Dns,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    match job.kind {
        None => Ok(()),
        Some(Kind::Request(method)) => {
            let asking = request(net, records, answer, (method, job), shared);
            let done = with_timeout(REQUEST_TIMEOUT, asking)
                .await
                .unwrap_or(Err(NetError::TimedOut));
            if done.is_err() {
                shared.tell(Input::RequestFailed);
            }
            done
        }
        Some(Kind::Download { from, len }) => {
            let mut status = None;
            let mut retry_after_s = None;
            let told = (&mut status, &mut retry_after_s);
            let done = download(net, records, answer, (&job.path, from, len), told, shared).await;
            shared.tell(Input::Downloaded {
                status,
                retry_after_s,
            });
            done
        }
    }
}

async fn request<N, S, F, R, const QUEUE: usize, const FRAME: usize>(
    net: &N,
    records: RecordSlices<'_>,
    answer: &mut [u8],
    (method, job): (Method, &Job<FRAME>),
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<(), NetError>
where
    N: TcpConnect + Dns,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    let target = &shared.target;
    let endpoint = target.endpoint().ok_or(NetError::Name)?;
    let head = http::request(method, &endpoint, &job.path, &target.token, &job.body)?;
    let socket = dial(net, &endpoint).await?;
    let line = Line::new(socket, endpoint.tls);
    let mut channel = secure(&line, records, &endpoint, shared).await?;
    channel.write(head.as_bytes()).await?;
    if method == Method::Post {
        channel.write(job.body.as_bytes()).await?;
    }
    let (length, filled) = http::read_head(&mut channel, answer).await?;
    let head = http::Head::parse(answer.get(..length).unwrap_or_default())?;
    let (status, date, retry_after_s) = (head.status, head.date, head.retry_after_s);
    let mut body = Body::new(head.framing);
    answer.copy_within(length..filled, 0);
    let (kept, whole) = read_to_end(&mut channel, &mut body, answer, filled - length).await?;
    // Of the answer to a post nothing is needed but that it is one.
    if !whole && method == Method::Get {
        shared.too_large();
    }
    shared.tell(Input::Answer {
        status,
        body: text(answer.get(..kept).unwrap_or_default()),
        date,
        retry_after_s,
    });
    Ok(())
}

/// Reads a body, or as much of it as the buffer holds; returns its bytes and whether they are all of it. The buffer begins with
/// `filled` bytes that are here already.
async fn read_to_end<C: embedded_io_async::Read + embedded_io_async::Write>(
    channel: &mut Channel<'_, '_, C>,
    body: &mut Body,
    buffer: &mut [u8],
    filled: usize,
) -> Result<(usize, bool), NetError> {
    let (mut total, mut filled) = (0, filled);
    loop {
        let room = buffer.get_mut(total..).unwrap_or_default();
        if room.is_empty() {
            let more = body.read(channel, &mut [0; 64], 0).await?;
            return Ok((total, more == 0));
        }
        match body.read(channel, room, filled).await? {
            0 => return Ok((total, true)),
            count => total += count,
        }
        filled = 0;
    }
}

/// The text up to the first byte that is none: a body may be cut in the middle of a letter.
fn text(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes
            .get(..error.valid_up_to())
            .and_then(|valid| core::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    }
}

async fn download<N, S, F, R, const QUEUE: usize, const FRAME: usize>(
    net: &N,
    records: RecordSlices<'_>,
    answer: &mut [u8],
    (path, from, len): (&str, u32, u32),
    (status, retry_after_s): (&mut Option<u16>, &mut Option<u32>),
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<(), NetError>
where
    N: TcpConnect + Dns,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    let target = &shared.target;
    let endpoint = target.endpoint().ok_or(NetError::Name)?;
    let head = http::download(&endpoint, path, &target.token, from, len)?;
    let socket = dial(net, &endpoint).await?;
    let line = Line::new(socket, endpoint.tls);
    let mut channel = secure(&line, records, &endpoint, shared).await?;
    channel.write(head.as_bytes()).await?;
    let (length, mut filled) = http::read_head(&mut channel, answer).await?;
    let head = http::Head::parse(answer.get(..length).unwrap_or_default())?;
    (*status, *retry_after_s) = (Some(head.status), head.retry_after_s);
    let wanted = head.status == 206 || (head.status == 200 && from == 0);
    if !wanted {
        return Ok(());
    }
    let mut body = Body::new(head.framing);
    answer.copy_within(length..filled, 0);
    filled -= length;
    let mut left = usize::try_from(len).unwrap_or(usize::MAX);
    while left > 0 {
        let count = body.read(&mut channel, answer, filled).await?.min(left);
        if count == 0 {
            return Err(NetError::Ended);
        }
        shared.receive(answer.get(..count).unwrap_or_default());
        (left, filled) = (left - count, 0);
        // Writing flash takes long, and the core may want something else by now.
        shared.bell.until(|| shared.is_settled()).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_before_half_a_letter() {
        assert_eq!(text("Wärme".as_bytes()), "Wärme");
        assert_eq!(text(&"Wärme".as_bytes()[..2]), "W");
        assert_eq!(text(&[0xff]), "");
    }
}
