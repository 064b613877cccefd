//! Creating, changing and deleting devices: the database first, then the memory, then everybody who watches.

use super::http::items::{DevicePatch, NewDeviceBody};
use super::{Device, check, cms, password, presence, presence::Presence, store};
use crate::identity::Caller;
use crate::live::{self, Event};
use crate::{ApiError, AppState, identity, random};
use espalier_db::{Conn, Error as DbError};
use espalier_model::{AccountId, DeviceId, Role};
use serde_json::{Map, Value, json};
use std::future::Future;
use std::sync::Arc;

/// Runs a change to its end even when the client hangs up meanwhile; otherwise memory could miss what the
/// database has.
pub async fn to_the_end<T: Send + 'static>(
    app: &AppState,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    app.tasks.spawn(work).await.map_err(ApiError::internal)?
}

/// What is needed to create a device; everything is checked already.
#[derive(Default)]
pub struct Draft {
    pub name: String,
    pub kind: Option<Box<str>>,
    pub location: Option<Box<str>>,
    pub tags: Box<[Box<str>]>,
    pub groups: Box<[Box<str>]>,
    pub aliases: Box<[Box<str>]>,
    pub expected_interval_s: Option<u32>,
    /// Product id and the hash of its password, for a device that waits to be claimed.
    pub product: Option<(String, String)>,
    /// What is known of its board, for one of the old kind.
    pub legacy: Option<cms::Legacy>,
}

impl Draft {
    /// Checks what a person asked for. The product's password is not hashed here.
    pub fn of(body: &NewDeviceBody) -> Result<Self, ApiError> {
        let mut groups = body.groups.clone();
        groups.extend(body.group.clone());
        let mut aliases = body.aliases.clone();
        aliases.extend(body.alias.clone());
        Ok(Self {
            name: match body.name.as_deref().map(str::trim) {
                None | Some("") => check::DEFAULT_NAME.to_owned(),
                Some(name) => check::name(name)?,
            },
            kind: check::kind(body.kind.as_deref())?,
            location: check::location(body.location.as_deref())?,
            tags: check::labels("tags", &body.tags)?,
            groups: check::labels("groups", &groups)?,
            aliases: check::aliases(&aliases)?,
            expected_interval_s: check::interval(body.expected_interval_seconds)?,
            product: None,
            legacy: None,
        })
    }
}

/// Creates a device as a person asked for it, and returns it with its token in clear.
pub async fn create_for(
    app: &AppState,
    caller: &Caller,
    body: NewDeviceBody,
) -> Result<(Arc<Device>, String), ApiError> {
    let mut draft = Draft::of(&body)?;
    may_create(app, caller, &draft)?;
    draft.product = product(app, caller, &mut draft.aliases, body).await?;
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let made = insert(&app, caller.account, draft).await?;
        let detail = json!({ "name": made.0.name, "unclaimed": made.0.unclaimed });
        identity::audit(
            &app,
            &caller,
            "device.create",
            &made.0.oid.to_string(),
            detail,
        )
        .await?;
        Ok(made)
    })
    .await
}

/// Checks that somebody may have this device.
///
/// # Errors
/// 403 when their role or a rule forbids it.
pub fn may_create(app: &AppState, caller: &Caller, draft: &Draft) -> Result<(), ApiError> {
    if caller.role == Role::Viewer {
        return Err(ApiError::forbidden(
            "A viewer has no devices of their own; ask an admin for the role of a member.",
        ));
    }
    let data = identity::RuleData {
        kind: draft.kind.as_deref().unwrap_or_default(),
        tags: &draft.tags,
        ..identity::RuleData::of(caller.account, "", &draft.name)
    };
    identity::require_new(
        app,
        caller,
        identity::Collection::Devices,
        espalier_model::Action::Own,
        &data,
    )
}

/// Checks the product id and hashes the password of a device that waits to be claimed. It also answers to
/// the product id.
async fn product(
    app: &AppState,
    caller: &Caller,
    aliases: &mut Box<[Box<str>]>,
    body: NewDeviceBody,
) -> Result<Option<(String, String)>, ApiError> {
    let (product_id, password) = match (body.product_id, body.password) {
        (None, None) => return Ok(None),
        (Some(product_id), Some(password)) => (product_id, password),
        (Some(_), None) => {
            return Err(ApiError::invalid(
                &["body", "password"],
                "must be given with product_id",
            ));
        }
        (None, Some(_)) => {
            return Err(ApiError::invalid(
                &["body", "product_id"],
                "must be given with password",
            ));
        }
    };
    if !caller.role.is_admin() {
        return Err(ApiError::forbidden(
            "Only an admin may prepare a device for somebody else to claim.",
        ));
    }
    check::password(&password)?;
    let mut with = aliases.to_vec();
    with.push(product_id.as_str().into());
    *aliases = check::aliases(&with)?;
    Ok(Some((
        product_id.trim().to_owned(),
        password::hash(&app.devices.password_turns, password).await?,
    )))
}

/// Deletes a device for a person.
pub async fn delete(app: &AppState, caller: &Caller, device: &Arc<Device>) -> Result<(), ApiError> {
    let (app, caller, device) = (app.clone(), caller.clone(), device.clone());
    to_the_end(&app.clone(), async move {
        if !super::delete::delete(&app, device.id).await? {
            return Err(ApiError::not_found("Device"));
        }
        let detail = json!({ "name": device.name, "owner": device.owner.to_string() });
        identity::audit(
            &app,
            &caller,
            "device.delete",
            &device.oid.to_string(),
            detail,
        )
        .await
    })
    .await
}

/// Stores a new device, and returns it with its token in clear.
pub async fn create(
    app: &AppState,
    owner: AccountId,
    draft: Draft,
) -> Result<(Arc<Device>, String), ApiError> {
    let app = app.clone();
    to_the_end(
        &app.clone(),
        async move { insert(&app, owner, draft).await },
    )
    .await
}

async fn insert(
    app: &AppState,
    owner: AccountId,
    draft: Draft,
) -> Result<(Arc<Device>, String), ApiError> {
    let token = hex::encode(random::bytes::<16>());
    let now = app.clock.now_ms();
    let device = Arc::new(Device {
        id: random::device_id(&app.clock),
        oid: random::oid(&app.clock),
        owner,
        name: draft.name,
        kind: draft.kind,
        location: draft.location,
        tags: draft.tags,
        groups: draft.groups,
        aliases: draft.aliases,
        expected_interval_s: draft.expected_interval_s,
        facts: None,
        unclaimed: draft.product.is_some(),
        token_digest: random::digest(&token),
        shares: Vec::new(),
        created_at: now,
        presence: Arc::new(Presence::new()),
    });
    let event = app.devices.journal.row(&device, now, "created", &json!({}));
    let (row, product) = (device.clone(), draft.product);
    let legacy = draft.legacy.clone();
    let write = move |c: &Conn<'_>| {
        if let Some(alias) = store::taken_alias(c, &row)? {
            return Err(taken(&alias));
        }
        store::insert(c, &row).map_err(stored)?;
        if let Some((product_id, hash)) = &product {
            store::insert_product(c, row.id, product_id, hash).map_err(stored)?;
        }
        if let Some(legacy) = &legacy {
            cms::put(c, row.id, legacy).map_err(stored)?;
        }
        store::insert_event(c, &event).map_err(stored)
    };
    let guard = app.devices.lock(device.id).await;
    app.db.write(write).await?;
    app.devices.put(device.clone());
    if let Some(legacy) = draft.legacy {
        cms::remember(app, device.id, legacy);
    }
    drop(guard);
    live::publish(
        app,
        Event::DeviceAdded {
            device: device.clone(),
        },
    );
    Ok((device, token))
}

/// The error for an alias that another device has.
fn taken(alias: &str) -> ApiError {
    ApiError::conflict(
        "alias_taken",
        format!("Another device already answers to {alias:?}; choose another alias."),
    )
}

/// Turns a failure to store a device into what the client should know.
pub fn stored(error: DbError) -> ApiError {
    match error {
        DbError::NoRow => ApiError::not_found("Device"),
        DbError::Unique(_) => ApiError::conflict(
            "taken",
            "Another device already has this alias or product id; choose another one.",
        ),
        DbError::ForeignKey => ApiError::not_found("Account"),
        other => other.into(),
    }
}

/// What a change of a device is called in its events.
pub struct Note {
    kind: &'static str,
    detail: Value,
}

impl Note {
    /// A note of a kind, with what a reader may want to know.
    pub fn new(kind: &'static str, detail: Value) -> Self {
        Self { kind, detail }
    }
}

/// Changes a device under its lock: `decide` gets the newest snapshot and returns the next one with a note for
/// its events, or `None` when nothing is to be done. `also` runs first in the same transaction; when it
/// refuses, nothing is changed. Shares are its business, everything else is stored here.
///
/// # Errors
/// 404 when the device is gone, 409 for a taken alias, and what `decide` and `also` return.
pub async fn change<D, A>(
    app: &AppState,
    id: DeviceId,
    decide: D,
    also: A,
) -> Result<Arc<Device>, ApiError>
where
    D: FnOnce(&Device) -> Result<Option<(Device, Note)>, ApiError>,
    A: Fn(&Conn<'_>, &Device) -> Result<(), ApiError> + Send + 'static,
{
    let _guard = app.devices.lock(id).await;
    let old = app
        .devices
        .get(id)
        .ok_or_else(|| ApiError::not_found("Device"))?;
    let Some((new, note)) = decide(&old)? else {
        return Ok(old);
    };
    let now = app.clock.now_ms();
    let event = app.devices.journal.row(&new, now, note.kind, &note.detail);
    let new = Arc::new(new);
    let (row, renamed) = (new.clone(), old.aliases != new.aliases);
    let write = move |c: &Conn<'_>| {
        also(c, &row)?;
        store::update(c, &row).map_err(stored)?;
        if renamed {
            if let Some(alias) = store::taken_alias(c, &row)? {
                return Err(taken(&alias));
            }
            store::replace_aliases(c, &row).map_err(stored)?;
        }
        store::insert_event(c, &event).map_err(stored)
    };
    app.db.write(write).await?;
    app.devices.put(new.clone());
    Ok(new)
}

/// Renames, labels or otherwise describes a device, as `patch` says.
///
/// # Errors
/// 422 for what breaks a limit, 409 for a taken alias.
pub async fn patch(
    app: &AppState,
    caller: &Caller,
    device: &Device,
    patch: DevicePatch,
) -> Result<Arc<Device>, ApiError> {
    let (app, caller, id) = (app.clone(), caller.clone(), device.id);
    to_the_end(&app.clone(), async move {
        let mut words = None;
        let changed = change(
            &app,
            id,
            |old| {
                let new = patched(old, patch)?;
                let detail = difference(old, &new);
                if detail.is_empty() {
                    return Ok(None);
                }
                let kind = if detail.contains_key("name") {
                    "renamed"
                } else {
                    "changed"
                };
                let detail = Value::Object(detail);
                words = Some(detail.clone());
                Ok(Some((new, Note::new(kind, detail))))
            },
            |_, _| Ok(()),
        )
        .await?;
        if let Some(detail) = words {
            presence::reschedule(&app, &changed);
            let target = changed.oid.to_string();
            identity::audit(&app, &caller, "device.change", &target, detail).await?;
        }
        Ok(changed)
    })
    .await
}

fn patched(old: &Device, patch: DevicePatch) -> Result<Device, ApiError> {
    let mut new = old.clone();
    if let Some(name) = &patch.name {
        new.name = check::name(name)?;
    }
    if let Some(kind) = &patch.kind {
        new.kind = check::kind(kind.as_deref())?;
    }
    if let Some(location) = &patch.location {
        new.location = check::location(location.as_deref())?;
    }
    if let Some(tags) = &patch.tags {
        new.tags = check::labels("tags", tags)?;
    }
    if let Some(groups) = &patch.groups {
        new.groups = check::labels("groups", groups)?;
    }
    if let Some(aliases) = &patch.aliases {
        new.aliases = check::aliases(aliases)?;
    }
    if let Some(interval) = patch.expected_interval_seconds {
        new.expected_interval_s = check::interval(interval)?;
    }
    Ok(new)
}

/// What differs, in the words of the wire.
fn difference(old: &Device, new: &Device) -> Map<String, Value> {
    let before = fields(old);
    fields(new)
        .into_iter()
        .filter(|(key, value)| before.get(key) != Some(value))
        .collect()
}

fn fields(device: &Device) -> Map<String, Value> {
    [
        ("name", json!(device.name)),
        ("kind", json!(device.kind)),
        ("location", json!(device.location)),
        ("tags", json!(device.tags)),
        ("groups", json!(device.groups)),
        ("aliases", json!(device.aliases)),
        (
            "expected_interval_seconds",
            json!(device.expected_interval_s),
        ),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
