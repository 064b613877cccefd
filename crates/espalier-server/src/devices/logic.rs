//! Creating, changing and deleting devices: the database first, then the memory, then everybody who watches.

use super::check;
use super::http::NewDeviceBody;
use super::{Device, password, presence::Presence, store};
use crate::identity::Caller;
use crate::live::{self, Event};
use crate::{ApiError, AppState, identity, random};
use espalier_db::Error as DbError;
use espalier_model::{AccountId, DeviceId, Role};
use serde_json::{Value, json};
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
        })
    }
}

/// Creates a device as a person asked for it, and returns it with its token in clear.
pub async fn create_for(
    app: &AppState,
    caller: &Caller,
    body: NewDeviceBody,
) -> Result<(Arc<Device>, String), ApiError> {
    if caller.role == Role::Viewer {
        return Err(ApiError::forbidden(
            "A viewer has no devices of their own; ask an admin for the role of a member.",
        ));
    }
    let mut draft = Draft::of(&body)?;
    draft.product = product(caller, &mut draft.aliases, body).await?;
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

/// Checks the product id and hashes the password of a device that waits to be claimed. It also answers to
/// the product id.
async fn product(
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
        password::hash(password).await?,
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
        unclaimed: draft.product.is_some(),
        token_digest: random::digest(&token),
        shares: Vec::new(),
        created_at: now,
        presence: Arc::new(Presence::new()),
    });
    let event = app.devices.journal.row(&device, now, "created", &json!({}));
    let (row, product) = (device.clone(), draft.product);
    let write = move |c: &espalier_db::Conn<'_>| {
        if let Some(taken) = store::taken_alias(c, &row)? {
            return Ok(Err(taken));
        }
        store::insert(c, &row)?;
        if let Some((product_id, hash)) = &product {
            store::insert_product(c, row.id, product_id, hash)?;
        }
        store::insert_event(c, &event)?;
        Ok(Ok(()))
    };
    let guard = app.devices.lock(device.id).await;
    app.db
        .write(write)
        .await
        .map_err(stored)?
        .map_err(|alias| taken(&alias))?;
    app.devices.put(device.clone());
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
    pub kind: &'static str,
    pub detail: Value,
}

/// Changes a device under its lock: `change` gets the newest snapshot and returns the next one with a note for
/// its events, or `None` when nothing is to be done. Aliases are stored too when they differ.
pub async fn change<F>(app: &AppState, id: DeviceId, change: F) -> Result<Arc<Device>, ApiError>
where
    F: FnOnce(&Device) -> Result<Option<(Device, Note)>, ApiError> + Send,
{
    let _guard = app.devices.lock(id).await;
    let old = app
        .devices
        .get(id)
        .ok_or_else(|| ApiError::not_found("Device"))?;
    let Some((new, note)) = change(&old)? else {
        return Ok(old);
    };
    let now = app.clock.now_ms();
    let event = app.devices.journal.row(&new, now, note.kind, &note.detail);
    let new = Arc::new(new);
    let (row, renamed) = (new.clone(), old.aliases != new.aliases);
    let write = move |c: &espalier_db::Conn<'_>| {
        store::update(c, &row)?;
        if renamed {
            if let Some(alias) = store::taken_alias(c, &row)? {
                return Ok(Err(alias));
            }
            store::replace_aliases(c, &row)?;
        }
        store::insert_event(c, &event)?;
        Ok::<_, DbError>(Ok(()))
    };
    app.db
        .write(write)
        .await
        .map_err(stored)?
        .map_err(|alias| taken(&alias))?;
    app.devices.put(new.clone());
    Ok(new)
}
