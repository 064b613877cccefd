//! The address a request comes from.

use crate::AppState;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The client's address: the peer of the connection, or what a trusted proxy says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Finds the address. `X-Forwarded-For` counts only when the connection comes from a proxy that the
    /// operator named, and then only its last entry that is not such a proxy.
    pub fn of(
        extensions: &axum::http::Extensions,
        headers: &axum::http::HeaderMap,
        trusted: &[IpAddr],
    ) -> Self {
        let direct = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| {
                info.0.ip().to_canonical()
            });
        if !trusted.contains(&direct) {
            return Self(direct);
        }
        let forwarded = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok());
        let hops: Vec<IpAddr> = forwarded
            .flat_map(|value| value.split(','))
            .filter_map(|hop| hop.trim().parse().ok())
            .collect();
        Self(
            hops.into_iter()
                .rev()
                .find(|hop| !trusted.contains(hop))
                .unwrap_or(direct),
        )
    }
}

impl FromRequestParts<AppState> for Peer {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(
            &parts.extensions,
            &parts.headers,
            &app.config.trusted_proxies,
        ))
    }
}
