//! A device as it goes over the wire. The token never does; only who creates or renews it sees it, once.

use super::{Device, Facts};
use crate::clock::iso;
use crate::identity::Principal;
use espalier_model::{AccountId, ShareRole};
use serde::Serialize;
use utoipa::ToSchema;

/// What stands where existing clients expect a token.
const HIDDEN: &str = "***";

/// A device.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Device")]
pub struct DeviceView {
    /// The device's 24-digit id.
    #[serde(rename = "_id")]
    pub legacy_id: String,
    /// The same id.
    pub id: String,
    /// The owner's account id.
    pub user_id: String,
    /// What people call it.
    pub name: String,
    /// `online` or `offline`.
    pub status: &'static str,
    /// The same as a flag.
    pub online: bool,
    /// When it was last heard of (RFC 3339, UTC).
    pub last_active: Option<String>,
    /// When it last came online or went offline (RFC 3339, UTC).
    pub last_status_notification: Option<String>,
    /// Always `***`, except in an answer that creates the device, renews its token or claims it.
    pub device_token: String,
    /// What kind of board it is.
    pub kind: Option<String>,
    /// Where it stands.
    pub location: Option<String>,
    /// Free words to find it by.
    pub tags: Vec<String>,
    /// The groups it is in.
    pub groups: Vec<String>,
    /// Other names under which it answers.
    pub aliases: Vec<String>,
    /// How often it is expected to report, seconds, in its owner's word; null means what the board itself
    /// says, or else the installation's default.
    pub expected_interval_seconds: Option<u32>,
    /// What the board says of itself; null until it has.
    pub facts: Option<Facts>,
    /// What the caller is to it: `owner`, `admin`, `member`, `viewer`, or `device` for the board itself.
    pub role: &'static str,
    /// It waits to be claimed with its product id and password.
    pub unclaimed: bool,
    /// When it was created (RFC 3339, UTC).
    pub created_at: String,
}

fn texts(list: &[Box<str>]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// What an account is to a device. An admin of the installation is an `admin` of every device.
fn role_of(device: &Device, account: AccountId) -> &'static str {
    if device.owner == account {
        return "owner";
    }
    device
        .shared_with(account)
        .unwrap_or(ShareRole::Admin)
        .as_str()
}

impl DeviceView {
    /// The device as an account sees it.
    pub fn of(device: &Device, account: AccountId) -> Self {
        Self::with_role(device, role_of(device, account))
    }

    /// The device as a principal sees it.
    pub fn for_principal(device: &Device, principal: &Principal) -> Self {
        match principal {
            Principal::Account(caller) => Self::of(device, caller.account),
            Principal::Device(_) => Self::with_role(device, "device"),
        }
    }

    fn with_role(device: &Device, role: &'static str) -> Self {
        let id = device.oid.to_string();
        let online = device.is_online();
        Self {
            legacy_id: id.clone(),
            id,
            user_id: device.owner.to_string(),
            name: device.name.clone(),
            status: if online { "online" } else { "offline" },
            online,
            last_active: device.last_active().map(iso),
            last_status_notification: device.presence.status_at().map(iso),
            device_token: HIDDEN.to_owned(),
            kind: device.kind.as_deref().map(str::to_owned),
            location: device.location.as_deref().map(str::to_owned),
            tags: texts(&device.tags),
            groups: texts(&device.groups),
            aliases: texts(&device.aliases),
            expected_interval_seconds: device.expected_interval_s,
            facts: device.facts.as_deref().cloned(),
            role,
            unclaimed: device.unclaimed,
            created_at: iso(device.created_at),
        }
    }

    /// The same with the token in clear, for the only answer that shows it.
    #[must_use]
    pub fn with_token(mut self, token: String) -> Self {
        self.device_token = token;
        self
    }
}
