//! From the URL of the server to a channel: name, connection, TLS. Each step has its time-out.

use core::net::{IpAddr, SocketAddr};

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use embedded_storage::nor_flash::NorFlash;
use embedded_tls::{TlsConfig, TlsConnection, TlsContext};
use espalier_device::{Endpoint, Storage};
use rand_core::{CryptoRng, RngCore};

use crate::buffers::RecordSlices;
use crate::channel::{Channel, Line};
use crate::error::NetError;
use crate::shared::Shared;
use crate::tls::{Provider, Verifier};

/// How long finding the address of a name may take.
const NAME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take, of which a small chip calculates some seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Connects with a server.
pub(crate) async fn dial<'n, N: TcpConnect + Dns>(
    net: &'n N,
    endpoint: &Endpoint<'_>,
) -> Result<N::Connection<'n>, NetError> {
    let address = match host_address(endpoint.host) {
        Some(address) => address,
        None => {
            let found = net.get_host_by_name(endpoint.host, AddrType::IPv4);
            match with_timeout(NAME_TIMEOUT, found).await {
                Ok(found) => found.map_err(|_| NetError::Name)?,
                Err(_) => return Err(NetError::TimedOut),
            }
        }
    };
    let connection = net.connect(SocketAddr::new(address, endpoint.port));
    match with_timeout(CONNECT_TIMEOUT, connection).await {
        Ok(connection) => connection.map_err(|_| NetError::Connect),
        Err(_) => Err(NetError::TimedOut),
    }
}

/// Returns the address that a host is, when it is no name.
pub(crate) fn host_address(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// Makes a channel on a fresh line; for `https` this is the TLS handshake.
pub(crate) async fn secure<'l: 'b, 'b, C, S, F, R, const QUEUE: usize, const FRAME: usize>(
    line: &'l Line<C>,
    records: RecordSlices<'b>,
    endpoint: &Endpoint<'_>,
    shared: &Shared<'_, S, F, R, QUEUE, FRAME>,
) -> Result<Channel<'l, 'b, C>, NetError>
where
    C: Read + Write,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    if !endpoint.tls {
        return Ok(Channel::Plain(line));
    }
    let anchors = shared.trust.anchors;
    if anchors.is_empty() {
        return Err(NetError::NoTrust);
    }
    let mut provider = Provider {
        rng: shared.rng(),
        verifier: Verifier::new(anchors, endpoint.host, shared.now()),
    };
    let mut config = TlsConfig::new();
    if host_address(endpoint.host).is_none() {
        config = config.with_server_name(endpoint.host);
    }
    let mut tls = TlsConnection::new(line, records.incoming, records.outgoing);
    let opened = with_timeout(
        HANDSHAKE_TIMEOUT,
        tls.open(TlsContext::new(&config, &mut provider)),
    )
    .await;
    match (opened, provider.verifier.verdict()) {
        (Err(_), _) => Err(NetError::TimedOut),
        // A server that never showed a certificate gets this far in the protocol, and no further here.
        (Ok(Ok(())), Ok(())) => Ok(Channel::Tls(line, tls)),
        (Ok(_), Err(refusal)) => Err(NetError::Tls(Some(refusal))),
        (Ok(Err(_)), Ok(())) => Err(NetError::Tls(None)),
    }
}
