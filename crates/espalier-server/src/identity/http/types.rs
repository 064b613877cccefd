//! Accounts and tokens as they are on the wire.

use crate::clock::iso;
use crate::http::Peer;
use crate::identity::sessions::{Origin, Tokens};
use crate::identity::store::accounts::Account;
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Characters of a user agent that are kept.
const MAX_USER_AGENT: usize = 200;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserOut {
    /// The account's id (a UUID).
    pub id: String,
    /// The e-mail address, in lower case.
    pub email: String,
    /// The name to sign in with, in lower case.
    pub username: String,
    /// The person's name.
    pub full_name: Option<String>,
    /// `viewer`, `member`, `admin` or `owner`.
    pub role: String,
    /// Whether the role manages the installation.
    pub is_admin: bool,
    /// Whether the account may sign in.
    pub is_active: bool,
    /// When it was created.
    pub created_at: String,
    /// When it last signed in.
    pub last_login: Option<String>,
    /// How it wants to be notified.
    #[schema(value_type = NotificationSettings)]
    pub notification_settings: Value,
    /// Free settings of connected apps.
    #[schema(value_type = Object)]
    pub integrations: Value,
}

impl From<Account> for UserOut {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.to_string(),
            email: account.email,
            username: account.username,
            full_name: account.full_name,
            role: account.role.to_string(),
            is_admin: account.role.is_admin(),
            is_active: account.is_active,
            created_at: iso(account.created_at),
            last_login: account.last_login.map(iso),
            notification_settings: account.notification_settings,
            integrations: account.integrations,
        }
    }
}

/// How somebody wants to be notified.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationSettings {
    /// Whether at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// On the phone or in the browser.
    #[serde(default = "yes")]
    pub push: bool,
    /// By e-mail.
    #[serde(default)]
    pub email: bool,
}

fn yes() -> bool {
    true
}

/// A pair of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenPair {
    /// Goes with every request as `Authorization: Bearer`; good for 30 minutes.
    pub access_token: String,
    /// Gets the next pair; good for 7 days and for one use.
    pub refresh_token: String,
    /// Always `bearer`.
    pub token_type: &'static str,
}

/// A pair of tokens and whose they are.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedIn {
    /// The tokens.
    #[serde(flatten)]
    pub tokens: TokenPair,
    /// The account.
    pub user: UserOut,
}

impl From<Tokens> for TokenPair {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            token_type: "bearer",
        }
    }
}

impl SignedIn {
    /// Puts both together.
    pub fn new(account: Account, tokens: Tokens) -> Self {
        Self {
            tokens: tokens.into(),
            user: account.into(),
        }
    }
}

/// A browser's session: its secret is in the cookie, which no script can read.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrowserSession {
    /// Always `cookie`.
    pub token_type: &'static str,
    /// Seconds that it lives without being used; 30 days after signing in it ends in any case.
    pub expires_in: i64,
}

/// A browser's session and whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedInBrowser {
    /// The session.
    #[serde(flatten)]
    pub session: BrowserSession,
    /// The account.
    pub user: UserOut,
}

/// What signing in comes to: tokens, or a cookie for whoever asked for one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "the description of an answer that is written in either form"
)]
pub enum SignedInEither {
    /// For programs.
    Tokens(SignedIn),
    /// For browsers.
    Browser(SignedInBrowser),
}

/// What renewing comes to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "the description of an answer that is written in either form"
)]
pub enum RenewedEither {
    /// For programs.
    Tokens(TokenPair),
    /// For browsers.
    Browser(BrowserSession),
}

impl BrowserSession {
    /// A session that lives so many milliseconds more.
    pub fn of(ms: i64) -> Self {
        Self {
            token_type: "cookie",
            expires_in: ms / 1000,
        }
    }
}

/// A new account.
#[derive(Deserialize, ToSchema)]
pub struct Signup {
    /// The e-mail address.
    pub email: String,
    /// 3 to 64 letters, digits, `-` or `_`.
    pub username: String,
    /// 8 to 72 characters with lower-case and upper-case letters and a digit.
    pub password: String,
    /// The person's name.
    pub full_name: Option<String>,
    /// The invitation, where one is needed.
    pub invite: Option<String>,
    /// `true` in a browser: the session comes as a cookie that no script can read, instead of tokens.
    #[serde(default)]
    pub cookie: bool,
}

/// Name and password as a form; it only describes the body, which is read field by field.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the description of a body that is read field by field"
)]
pub struct TokenForm {
    /// The username or e-mail address.
    pub username: String,
    /// The password.
    pub password: String,
}

/// Name and password as JSON.
#[derive(Deserialize, ToSchema)]
pub struct Login {
    /// The e-mail address or username.
    pub email: Option<String>,
    /// The username or e-mail address, for clients that call it so.
    pub username: Option<String>,
    /// The product id of a board; boards cannot sign in here yet.
    pub product_id: Option<String>,
    /// The password.
    pub password: String,
    /// `true` in a browser: the session comes as a cookie that no script can read, instead of tokens.
    #[serde(default)]
    pub cookie: bool,
}

/// What came of signing out.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedOut {
    /// One sentence.
    pub message: &'static str,
    /// How many sessions have ended.
    pub tokens_deleted: u64,
    /// Whether nobody was signed in.
    pub already_logged_out: bool,
}

/// What to change about one's own account; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub struct ProfileUpdate {
    /// A new e-mail address.
    pub email: Option<String>,
    /// A new username.
    pub username: Option<String>,
    /// A new name; empty removes it.
    pub full_name: Option<String>,
    /// How to notify.
    pub notification_settings: Option<NotificationSettings>,
    /// Free settings of connected apps, at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    pub integrations: Option<Map<String, Value>>,
    /// A new password; needs `current_password` and ends every other session.
    pub password: Option<String>,
    /// The password until now.
    pub current_password: Option<String>,
}

/// What the list of sessions says about where a sign-in came from.
pub fn origin(peer: Peer, headers: &HeaderMap) -> Origin {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .map(|text| text.chars().take(MAX_USER_AGENT).collect());
    Origin {
        address: Some(peer.0.to_string()),
        user_agent: agent,
    }
}
