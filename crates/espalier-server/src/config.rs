//! The settings of the server, each declared and documented once.

use std::path::PathBuf;

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that holds the databases.
    pub data: PathBuf,
    /// `postgres://…` for PostgreSQL; empty for the embedded database in the data folder.
    pub database_url: Option<String>,
    /// Who may create an account: `open`, `invite` or `closed`.
    pub signup: Signup,
    /// The URL under which people and devices reach this server; used in links.
    pub public_url: String,
    /// Requests a principal may make per window on device and app APIs.
    pub rate_limit_requests: u32,
    /// The length of that window, seconds.
    pub rate_limit_window_seconds: u32,
    /// Addresses of reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// Seconds after which a device that was expected to report counts as offline, when it names no interval.
    pub offline_after_seconds: u32,
}

/// Who may create an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signup {
    /// Anybody.
    Open,
    /// Whoever has an invitation.
    Invite,
    /// Nobody; admins create accounts.
    Closed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            database_url: None,
            signup: Signup::Invite,
            public_url: "http://127.0.0.1:8000".to_owned(),
            rate_limit_requests: 100,
            rate_limit_window_seconds: 60,
            trusted_proxies: Vec::new(),
            offline_after_seconds: 60,
        }
    }
}
