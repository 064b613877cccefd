//! What people decide about boards that wait: whose they are, that they go away, or that they are not heard any more.

use super::legacy::{self, Legacy, Profile};
use super::pin::{Mac, Station};
use super::quarantine::Waiting;
use super::said::Said;
use super::{report, store};
use crate::devices::logic::{self, Draft};
use crate::devices::{Device, check, permits};
use crate::error::ApiResult;
use crate::identity::{self, Caller, Principal};
use crate::{ApiError, AppState, random};
use espalier_model::{Action, Alias, Oid};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

/// Boards that can be blocked at once.
const MAX_BLOCKS: usize = 1000;

/// A board that is not to be heard: this id from this station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Names the block.
    pub id: Oid,
    /// The id that the board has compiled in.
    pub legacy_id: Box<str>,
    /// Its MAC, when it was known.
    pub mac: Option<Mac>,
    /// Where it spoke from.
    pub address: IpAddr,
    /// Who blocked it.
    pub by: String,
    /// When, milliseconds UTC.
    pub at: i64,
}

/// Tells whether a station was blocked for an id.
pub fn is_blocked(app: &AppState, legacy_id: &str, station: Station) -> bool {
    let blocks = app.devices.cms.blocks.read();
    blocks.iter().any(|block| {
        let mac = match (block.mac, station.mac) {
            (Some(blocked), Some(mac)) => Some(blocked == mac),
            _ => None,
        };
        *block.legacy_id == *legacy_id && mac.unwrap_or(block.address == station.address)
    })
}

/// How a board that waits is claimed.
#[derive(Debug, Default)]
pub struct Wish {
    /// What to call it.
    pub name: Option<String>,
    /// Whether it may go on without a token.
    pub open: bool,
    /// A device that it is, instead of a new one.
    pub device: Option<String>,
}

/// Everybody who waits, the newest first.
pub fn waiting(app: &AppState) -> Vec<Waiting> {
    let mut waiting = app.devices.cms.waiting.lock();
    waiting.prune(app.clock.now_ms());
    waiting.list()
}

fn take(app: &AppState, entry: Oid) -> ApiResult<Waiting> {
    let taken = app.devices.cms.waiting.lock().take(entry);
    taken.ok_or_else(|| ApiError::not_found("Board"))
}

/// Makes a board that waits a device of the caller, or tells which of the devices it is. The token is returned for a new
/// device, for the only time.
///
/// # Errors
/// 404 when it waits no more, 409 when it could not be told from another open board.
pub async fn claim(
    app: &AppState,
    caller: &Caller,
    entry: Oid,
    wish: Wish,
) -> ApiResult<(Arc<Device>, Option<String>)> {
    let (app, caller) = (app.clone(), caller.clone());
    logic::to_the_end(&app.clone(), async move {
        // Taken first, so that of two who claim it at once one wins.
        let board = take(&app, entry)?;
        let claimed = match &wish.device {
            Some(device) => assign(&app, &caller, &board, device, wish.open)
                .await
                .map(|device| (device, None)),
            None => make(&app, &caller, &board, &wish)
                .await
                .map(|(device, token)| (device, Some(token))),
        };
        if claimed.is_err() {
            let now = app.clock.now_ms();
            app.devices.cms.waiting.lock().put_back(board, now);
        }
        claimed
    })
    .await
}

/// What is kept of a board that was claimed.
fn legacy_of(board: &Waiting, open: bool) -> Legacy {
    Legacy {
        open,
        mac: board.mac,
        address: Some(board.address),
        profile: profile_of(&board.said),
        ..Legacy::new(&board.legacy_id)
    }
}

/// What a board said of itself.
pub fn profile_of(said: &Said) -> Profile {
    let said = said.clone();
    Profile {
        device_name: said.name,
        occupation: said.occupation,
        wifi_ssid: said.wifi_ssid,
        capabilities: said.capabilities,
        preferences: said.preferences,
        custom_content_enabled: false,
    }
}

/// Refuses to open a board that could not be told from another one.
fn distinct(
    app: &AppState,
    caller: &Caller,
    legacy_id: &str,
    mac: Option<Mac>,
    address: Option<IpAddr>,
    except: Option<&Device>,
) -> ApiResult<()> {
    let others = legacy::with_id(app, legacy_id).into_iter();
    let mut others = others.filter(|(device, _)| except.is_none_or(|own| own.id != device.id));
    let clash = others.find(|(_, legacy)| match address {
        Some(address) => legacy.clashes(mac, address),
        None => legacy.open && legacy.address.is_none(),
    });
    let Some((device, _)) = clash else {
        return Ok(());
    };
    // Whose device it is may be none of the caller's business.
    let principal = Principal::Account(caller.clone());
    let which = match permits(app, &principal, &device, Action::Read) {
        true => format!("The device {:?}", device.name),
        false => "Another device".to_owned(),
    };
    Err(ApiError::conflict(
        "same_station",
        format!(
            "{which} is open to boards with this id from the same station, so the two could not be told apart; \
             close that one first, or say that this board is it."
        ),
    ))
}

async fn make(
    app: &AppState,
    caller: &Caller,
    board: &Waiting,
    wish: &Wish,
) -> ApiResult<(Arc<Device>, String)> {
    if wish.open {
        let (mac, address) = (board.mac, Some(board.address));
        distinct(app, caller, &board.legacy_id, mac, address, None)?;
    }
    let said = &board.said;
    let names = [&wish.name, &said.nickname, &said.name];
    let mut names = names.into_iter().flatten();
    let name = names.find(|name| !name.trim().is_empty());
    let name = name.map_or(&*board.legacy_id, String::as_str);
    let made = adopt(app, caller, legacy_of(board, wish.open), name, said).await?;
    let detail =
        json!({ "legacy_id": board.legacy_id, "address": board.address, "open": wish.open });
    let target = made.0.oid.to_string();
    identity::audit(app, caller, "quarantine.claim", &target, detail).await?;
    Ok(made)
}

/// Creates a device for an old board. It answers to its compiled id unless another device does already.
///
/// # Errors
/// 403 for who may not have devices, 422 for a name or kind out of bounds.
pub async fn adopt(
    app: &AppState,
    caller: &Caller,
    mut legacy: Legacy,
    name: &str,
    said: &Said,
) -> ApiResult<(Arc<Device>, String)> {
    let alias = legacy.legacy_id.parse::<Alias>().is_ok();
    let free = alias && app.devices.resolve(&legacy.legacy_id).is_none();
    let name: String = name.trim().chars().take(check::MAX_NAME).collect();
    legacy.updated_at = app.clock.now_ms();
    let draft = Draft {
        name: check::name(&name)?,
        kind: check::kind(said.device_type.as_deref())?,
        aliases: free.then(|| legacy.legacy_id.clone()).into_iter().collect(),
        legacy: Some(legacy),
        ..Draft::default()
    };
    logic::may_create(app, caller, &draft)?;
    let (device, token) = logic::create(app, caller.account, draft).await?;
    report::introduce(app, &device, said).await?;
    let device = app.devices.get(device.id).unwrap_or(device);
    Ok((device, token))
}

/// Says that a board which waits is a device that exists: it got a new address, or speaks for the first time.
async fn assign(
    app: &AppState,
    caller: &Caller,
    board: &Waiting,
    device: &str,
    open: bool,
) -> ApiResult<Arc<Device>> {
    let principal = Principal::Account(caller.clone());
    let device = legacy::find_for(app, &principal, device, Action::Own)?;
    if open {
        let (mac, address) = (board.mac, Some(board.address));
        distinct(app, caller, &board.legacy_id, mac, address, Some(&device))?;
    }
    let new = legacy_of(board, open);
    legacy::change(app, device.id, &board.legacy_id, move |legacy| {
        let known = legacy.profile.clone();
        *legacy = Legacy {
            profile: Profile {
                device_name: known.device_name.or(new.profile.device_name),
                occupation: known.occupation.or(new.profile.occupation),
                wifi_ssid: new.profile.wifi_ssid.or(known.wifi_ssid),
                capabilities: new.profile.capabilities.or(known.capabilities),
                preferences: known.preferences.or(new.profile.preferences),
                custom_content_enabled: known.custom_content_enabled,
            },
            ..new
        };
    })
    .await?;
    report::introduce(app, &device, &board.said).await?;
    let detail = json!({ "legacy_id": board.legacy_id, "address": board.address, "open": open });
    let target = device.oid.to_string();
    identity::audit(app, caller, "quarantine.assign", &target, detail).await?;
    Ok(device)
}

/// How a device is open to old boards.
#[derive(Debug)]
pub struct Opening {
    /// The id that its board has compiled in.
    pub legacy_id: String,
    /// Whether it may speak without a token.
    pub open: bool,
    /// The MAC of its station.
    pub mac: Option<Mac>,
    /// The address of its station; `None` is every one from which old boards may speak.
    pub address: Option<IpAddr>,
}

/// Whose an old board is, only an admin says: ids that are compiled in are known to many, so whoever opened a device of their own
/// under one would get another's board, and could send it firmware. An owner may close a device, narrow to whom it is open, and
/// open it to a board that has the device's own id compiled in.
fn may_open(app: &AppState, caller: &Caller, device: &Device, wish: &Opening) -> ApiResult<()> {
    fn within<T: PartialEq>(known: Option<&T>, wish: Option<&T>) -> bool {
        known.is_none() || known == wish
    }
    let narrower = legacy::of(app, device.id).is_some_and(|known| {
        known.open
            && *known.legacy_id == *wish.legacy_id
            && within(known.mac.as_ref(), wish.mac.as_ref())
            && within(known.address.as_ref(), wish.address.as_ref())
    });
    if caller.role.is_admin() || narrower || wish.legacy_id == device.oid.to_string() {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "Only an admin says which board without a token is this device; ask one to claim it under Waiting boards.",
    ))
}

/// Opens a device to its old board, or closes it.
///
/// # Errors
/// 403 when it takes an admin, 409 when it could not be told from another open board.
pub async fn open(
    app: &AppState,
    caller: &Caller,
    device: &Device,
    wish: Opening,
) -> ApiResult<Arc<Legacy>> {
    if wish.open {
        may_open(app, caller, device, &wish)?;
        let (mac, address) = (wish.mac, wish.address);
        distinct(app, caller, &wish.legacy_id, mac, address, Some(device))?;
    }
    let detail = json!({ "legacy_id": wish.legacy_id, "open": wish.open, "address": wish.address });
    let first = wish.legacy_id.clone();
    let changed = legacy::change(app, device.id, &first, move |legacy| {
        legacy.legacy_id = wish.legacy_id.into();
        legacy.open = wish.open;
        legacy.mac = wish.mac;
        legacy.address = wish.address;
    })
    .await?;
    let target = device.oid.to_string();
    identity::audit(app, caller, "device.legacy", &target, detail).await?;
    Ok(changed)
}

/// Sends a board that waits away; when it speaks again it waits again.
///
/// # Errors
/// 404 when it waits no more.
pub fn dismiss(app: &AppState, entry: Oid) -> ApiResult<()> {
    take(app, entry).map(|_| ())
}

/// Blocks a board that waits: it is refused from now on.
///
/// # Errors
/// 404 when it waits no more, 409 when too many are blocked.
pub async fn block(app: &AppState, caller: &Caller, entry: Oid) -> ApiResult<Block> {
    let (app, caller) = (app.clone(), caller.clone());
    logic::to_the_end(&app.clone(), async move {
        if app.devices.cms.blocks.read().len() >= MAX_BLOCKS {
            return Err(ApiError::conflict(
                "too_many_blocks",
                format!("{MAX_BLOCKS} boards are blocked already; unblock one first."),
            ));
        }
        let board = take(&app, entry)?;
        let block = Block {
            id: random::oid(&app.clock),
            legacy_id: board.legacy_id.clone(),
            mac: board.mac,
            address: board.address,
            by: caller.username.clone(),
            at: app.clock.now_ms(),
        };
        let row = block.clone();
        let stored = app.db.write(move |c| store::insert_block(c, &row)).await;
        if let Err(error) = stored {
            let now = app.clock.now_ms();
            app.devices.cms.waiting.lock().put_back(board, now);
            return Err(error.into());
        }
        app.devices.cms.blocks.write().insert(0, block.clone());
        let detail = json!({ "legacy_id": block.legacy_id, "address": block.address });
        let target = block.id.to_string();
        identity::audit(&app, &caller, "quarantine.block", &target, detail).await?;
        Ok(block)
    })
    .await
}

/// The boards that are blocked, the newest first.
pub fn blocks(app: &AppState) -> Vec<Block> {
    app.devices.cms.blocks.read().clone()
}

/// Lets a blocked board be heard again.
///
/// # Errors
/// 404 when it is not blocked.
pub async fn unblock(app: &AppState, caller: &Caller, id: Oid) -> ApiResult<()> {
    let (app, caller) = (app.clone(), caller.clone());
    logic::to_the_end(&app.clone(), async move {
        if !app.db.write(move |c| store::delete_block(c, id)).await? {
            return Err(ApiError::not_found("Block"));
        }
        app.devices
            .cms
            .blocks
            .write()
            .retain(|block| block.id != id);
        let target = id.to_string();
        identity::audit(&app, &caller, "quarantine.unblock", &target, json!({})).await
    })
    .await
}
