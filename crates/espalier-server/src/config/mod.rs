//! The settings of the server, each declared and documented once.
//!
//! A value comes from, later ones winning: the default, `espalier.toml`, the environment, the command line.
//! Nothing else in the product reads the environment. `espalier config` prints every setting with its text
//! from here and its current value; `docs/generated/configuration.md` is made of the same list.

mod setting;

pub use setting::{SettingInfo, SettingValue, Source};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

setting::settings! {
    /// The address to listen on. `127.0.0.1` is this machine only; `0.0.0.0` is every network it is in.
    host: String = "127.0.0.1".to_owned(), env ["ESPALIER_HOST", "HOST"];
    /// The port to listen on; 0 takes a free one.
    port: u16 = 8000, env ["ESPALIER_PORT", "PORT"];
    /// More addresses to listen on with the same routes, e.g. `0.0.0.0:5000` for boards that know an old port.
    extra_listen: Vec<String> = Vec::new(), env ["ESPALIER_EXTRA_LISTEN"];
    /// The folder that holds the databases.
    data: PathBuf = PathBuf::from("data"), env ["ESPALIER_DATA"];
    /// A `postgres://user:password@host/database` URL to use PostgreSQL; empty for the embedded database.
    database_url: Option<String> = None, env ["ESPALIER_DATABASE_URL", "DATABASE_URL"], secret;
    /// Who may create an account: `open` (anybody), `invite` (whoever has an invitation) or `closed`.
    signup: Signup = Signup::Invite, env ["ESPALIER_SIGNUP"];
    /// The URL under which people and boards reach this server; used in links. Empty: made from host and port.
    public_url: String = String::new(), env ["ESPALIER_PUBLIC_URL", "PUBLIC_URL"];
    /// Requests that one principal (a person, an API key or a board; for the anonymous, an address) may make
    /// per window on the device and app APIs; a person in a browser on our own pages may make ten times as many.
    /// 0 switches the limit off.
    rate_limit_requests: u32 = 100, env ["ESPALIER_RATE_LIMIT_REQUESTS", "RATE_LIMIT_REQUESTS"];
    /// The length of that window, seconds.
    rate_limit_window_seconds: u32 = 60, env ["ESPALIER_RATE_LIMIT_WINDOW_SECONDS", "RATE_LIMIT_WINDOW_SECONDS"];
    /// Frames per second that one socket of a board or an app may send over time; ten times as many may come at
    /// once. What is beyond is refused with when to try again, and who does not stop is closed with 1008. 0
    /// switches the limit off.
    socket_frames_per_second: u32 = 100, env ["ESPALIER_SOCKET_FRAMES_PER_SECOND"];
    /// Addresses of reverse proxies whose `X-Forwarded-For` is believed.
    trusted_proxies: Vec<IpAddr> = Vec::new(), env ["ESPALIER_TRUSTED_PROXIES"];
    /// Web origins of other sites that may call the API from a browser, e.g. `https://app.example.com`.
    cors_origins: Vec<String> = Vec::new(), env ["ESPALIER_CORS_ORIGINS", "CORS_ORIGINS"];
    /// The interval in seconds at which a board is expected to report when it names none itself; it counts
    /// as offline after three of them.
    expected_interval_seconds: u32 = 20, env ["ESPALIER_EXPECTED_INTERVAL_SECONDS"];
    /// Where firmware images are kept: a folder, or `s3://bucket/prefix` when built with the feature `s3`. Empty: `blobs`
    /// in the data folder.
    blobs: String = String::new(), env ["ESPALIER_BLOBS", "BLOBS"];
    /// The URL of the S3 service when it is not Amazon's, e.g. `http://127.0.0.1:9000`.
    s3_endpoint: Option<String> = None, env ["ESPALIER_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    /// The region of the S3 bucket.
    s3_region: String = "us-east-1".to_owned(), env ["ESPALIER_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"];
    /// The id of the key for the S3 bucket; without one the machine's own role is used, as on Amazon's servers.
    s3_access_key_id: Option<String> = None, env ["ESPALIER_S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"];
    /// That key's secret.
    s3_secret_access_key: Option<String> = None, env ["ESPALIER_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"], secret;
    /// The token that belongs to a key which is good for a while only.
    s3_session_token: Option<String> = None, env ["ESPALIER_S3_SESSION_TOKEN", "AWS_SESSION_TOKEN"], secret;
    /// Take and deliver firmware that no trusted key has signed. Leave it off where boards are out of reach.
    allow_unsigned: bool = false, env ["ESPALIER_ALLOW_UNSIGNED"];
    /// From where boards of the old kind, which have no token, are heard: `lan` (private addresses and this machine), `on`
    /// (everywhere) or `off`. Unknown ones wait in quarantine until an admin claims them.
    legacy_boards: LegacyBoards = LegacyBoards::Lan, env ["ESPALIER_LEGACY_BOARDS"];
    /// Downloads of firmware that may run at once; boards beyond that are told to come back a little later.
    max_downloads: u32 = 256, env ["ESPALIER_MAX_DOWNLOADS"];
    /// A mail server as `smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`; empty: links for
    /// password resets are printed to the server's log for the operator.
    smtp_url: Option<String> = None, env ["ESPALIER_SMTP_URL", "SMTP_URL"], secret;
    /// The sender of mails.
    mail_from: String = "Espalier <espalier@localhost>".to_owned(), env ["ESPALIER_MAIL_FROM", "MAIL_FROM"];
    /// How log lines look: `text` for people, `json` for programs.
    log_format: LogFormat = LogFormat::Text, env ["ESPALIER_LOG_FORMAT", "LOG_FORMAT"];
    /// What is logged: `error`, `warn`, `info`, `debug`, or a filter such as `info,espalier_server::live=debug`.
    log_level: String = "info".to_owned(), env ["ESPALIER_LOG_LEVEL", "LOG_LEVEL"];
    /// A folder for daily log files; empty: the log goes to standard error.
    log_dir: Option<PathBuf> = None, env ["ESPALIER_LOG_DIR"];
    /// Daily log files that are kept.
    log_files: u16 = 14, env ["ESPALIER_LOG_FILES"];
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

/// From where boards without a token are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyBoards {
    /// Private addresses and this machine.
    Lan,
    /// Everywhere.
    On,
    /// Nowhere.
    Off,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

setting::words!(Signup { Open => "open", Invite => "invite", Closed => "closed" });
setting::words!(LegacyBoards { Lan => "lan", On => "on", Off => "off" });
setting::words!(LogFormat { Text => "text", Json => "json" });

impl Config {
    /// The URL under which people reach this server, without a slash at its end.
    pub fn base_url(&self) -> String {
        if self.public_url.is_empty() {
            let host = match self.host.as_str() {
                "0.0.0.0" | "::" => "localhost",
                host => host,
            };
            return format!("http://{host}:{}", self.port);
        }
        self.public_url.trim_end_matches('/').to_owned()
    }

    /// Milliseconds of silence after which a board that names no interval counts as offline.
    pub fn offline_after_ms(&self) -> i64 {
        i64::from(self.expected_interval_seconds) * 3 * 1000
    }

    /// Sets several settings by name, e.g. from the command line.
    ///
    /// # Errors
    /// Names the first setting that does not exist or whose value does not fit.
    pub fn apply(&mut self, values: &BTreeMap<String, String>) -> Result<(), String> {
        values
            .iter()
            .try_for_each(|(key, text)| self.set(key, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let env: BTreeMap<String, String> = env
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        Config::load(toml, |name| env.get(name).cloned()).map(|(config, _)| config)
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_product_name_over_the_old_one() {
        let config = load(
            "port = 9000\nsignup = \"open\"",
            &[("PORT", "9001"), ("ESPALIER_PORT", "9002")],
        )
        .unwrap();
        assert_eq!(config.port, 9002);
        assert_eq!(config.signup, Signup::Open);
        assert_eq!(load("port = 9000", &[("PORT", "9001")]).unwrap().port, 9001);
    }

    #[test]
    fn lists_come_as_arrays_or_with_commas() {
        let config = load("cors_origins = [\"https://a\", \"https://b\"]", &[]).unwrap();
        assert_eq!(config.cors_origins, ["https://a", "https://b"]);
        let config = load("", &[("ESPALIER_TRUSTED_PROXIES", "10.0.0.1, ::1")]).unwrap();
        assert_eq!(config.trusted_proxies.len(), 2);
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_is_wanted() {
        let error = load("prot = 1", &[]).unwrap_err();
        assert!(error.contains("prot") && error.contains("port"), "{error}");
        let error = load("", &[("ESPALIER_SIGNUP", "yes")]).unwrap_err();
        assert!(
            error.contains("ESPALIER_SIGNUP") && error.contains("invite"),
            "{error}"
        );
        let error = load("port = \"many\"", &[]).unwrap_err();
        assert!(error.contains("port"), "{error}");
    }

    #[test]
    fn what_is_printed_reads_back_and_hides_secrets() {
        let (config, sources) =
            Config::load("database_url = \"postgres://me:geheim@db/x\"", |_| None).unwrap();
        let text = config.to_toml(&sources);
        assert!(!text.contains("geheim"), "{text}");
        assert!(Config::load(&text, |_| None).is_ok(), "{text}");
    }
}
