//! What a board fetches beside its core: the picture of its display. It goes over the connection of the exchange while the core
//! has nothing on its way; the core's own always goes first, and what was fetched so far is given up for it.

use embassy_time::Duration;
use embedded_nal_async::{Dns, TcpConnect};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::Storage;
use espalier_device::parts::screen::MAX_ETAG;
use heapless::String;
use rand_core::{CryptoRng, RngCore};

use crate::buffers::RecordSlices;
use crate::channel::Line;
use crate::connect::{dial, secure};
use crate::error::NetError;
use crate::http::{self, Body};
use crate::shared::{MAX_PATH, Shared};

/// How long all of it may take: less than the screen waits for a picture.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(50);

/// Something to be fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The path, below the configured server.
    pub path: String<MAX_PATH>,
    /// The entity tag of what is here already; empty when anything is welcome.
    pub if_none_match: String<MAX_ETAG>,
}

/// Who wants something fetched. One at a time: it is asked again when [`Fetch::ended`] was called.
pub trait Fetch {
    /// Waits until something is wanted. Dropped and called again at any time, before it has returned.
    async fn wanted(&mut self) -> Wanted;

    /// Takes the next bytes of the body of an answer with the status 200. Dropped when the fetch is given up.
    async fn receive(&mut self, bytes: &[u8]);

    /// It has ended, with the status and the entity tag of the whole answer; without a status it failed or was given up.
    fn ended(&mut self, status: Option<u16>, etag: Option<&str>);
}

/// Of a board that fetches nothing.
#[derive(Debug, Clone, Copy)]
pub struct FetchNothing;

impl Fetch for FetchNothing {
    async fn wanted(&mut self) -> Wanted {
        core::future::pending().await
    }

    async fn receive(&mut self, _bytes: &[u8]) {}

    fn ended(&mut self, _status: Option<u16>, _etag: Option<&str>) {}
}

/// Status and entity tag of an answer that came to its end.
pub(crate) type Fetched = (u16, Option<String<MAX_ETAG>>);

/// Fetches one thing and hands its body on as it comes.
pub(crate) async fn fetch<N, S, F, R, W, const QUEUE: usize, const FRAME: usize>(
    net: &N,
    records: RecordSlices<'_>,
    answer: &mut [u8],
    wanted: &Wanted,
    beside: &mut W,
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<Fetched, NetError>
where
    N: TcpConnect + Dns,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
    W: Fetch,
{
    let target = &shared.target;
    let endpoint = target.endpoint().ok_or(NetError::Name)?;
    let head = http::fetch(
        &endpoint,
        &wanted.path,
        &target.token,
        &wanted.if_none_match,
    )?;
    let socket = dial(net, &endpoint).await?;
    let line = Line::new(socket, endpoint.tls);
    let mut channel = secure(&line, records, &endpoint, shared).await?;
    channel.write(head.as_bytes()).await?;
    let (length, mut filled) = http::read_head(&mut channel, answer).await?;
    let head = http::Head::parse(answer.get(..length).unwrap_or_default())?;
    // The body takes the place of the head.
    let etag = head.etag.and_then(|tag| String::try_from(tag).ok());
    let (status, mut body) = (head.status, Body::new(head.framing));
    if status != 200 {
        return Ok((status, etag));
    }
    answer.copy_within(length..filled, 0);
    filled -= length;
    loop {
        match body.read(&mut channel, answer, filled).await? {
            0 => return Ok((status, etag)),
            count => {
                beside
                    .receive(answer.get(..count).unwrap_or_default())
                    .await
            }
        }
        filled = 0;
    }
}
