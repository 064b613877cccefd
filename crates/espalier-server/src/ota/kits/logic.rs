//! Keeping, finding and removing kits.

use super::check;
use super::file::KitFile;
use super::intake::{Upload, bad_kit};
use super::{Kit, Part, store};
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::ota::{blobs, library};
use crate::{ApiError, AppState, random};
use espalier_db::Conn;
use espalier_model::{AccountId, KitId};
use serde_json::json;
use std::collections::HashMap;

/// Kits of one account.
const MAX_KITS: i64 = 200;

/// What came of an upload.
#[derive(Debug)]
pub enum Kept {
    /// The kit is new.
    New(Kit),
    /// The account had it already.
    Known(Kit),
}

impl Kept {
    /// The kit.
    pub fn kit(&self) -> &Kit {
        match self {
            Self::New(kit) | Self::Known(kit) => kit,
        }
    }
}

/// There is no such kit of the caller's.
fn no_kit() -> ApiError {
    ApiError::not_found("Kit")
}

/// The account whose library a kit goes to: the caller's, or the one that an admin names. The operator at the command line has
/// none: without a name it is the installation's owner, when there is one.
///
/// # Errors
/// 403 when somebody else than an admin names another account, 404 when there is no such account, 409 when it must be named.
pub async fn owner_named(
    app: &AppState,
    caller: &Caller,
    named: Option<&str>,
) -> ApiResult<AccountId> {
    match named {
        Some(name) => {
            let found = identity::account_named(app, &name.to_lowercase()).await?;
            let found = found.or_else(|| name.parse().ok());
            match found {
                Some(found) if found == caller.account => Ok(found),
                _ if !caller.role.is_admin() => Err(ApiError::forbidden(
                    "Only an admin may put something into another account's library.",
                )),
                Some(found) if identity::in_place_of(app, found).await?.is_some() => Ok(found),
                _ => Err(ApiError::not_found("Account")),
            }
        }
        None if caller.account.0.is_nil() => {
            let owner = identity::only_owner(app).await?;
            owner.ok_or_else(|| {
                let sentence = "Say whose library it is for (`owner`; `--account` on the command line): this installation has not exactly one owner.";
                ApiError::conflict("no_account", sentence)
            })
        }
        None => Ok(caller.account),
    }
}

/// Keeps a kit, and its app as an image of the library. The same kit again is the same; its app gets the new signature, and
/// files that were damaged are whole again.
///
/// # Errors
/// 422 when a part is not what it should be, the parts do not fit each other, the app is not signed or its signature does not
/// count; 409 when there are too many; 403 and 404 as [`owner_named`].
pub async fn keep(app: &AppState, caller: &Caller, upload: Upload) -> ApiResult<Kept> {
    let owner = owner_named(app, caller, upload.owner.as_deref()).await?;
    let work = move || check::check(&upload.kit, &upload.files).map(|()| upload);
    let checked = tokio::task::spawn_blocking(work)
        .await
        .map_err(ApiError::internal)?;
    let upload = checked.map_err(bad_kit)?;
    let digest = upload.kit.digest();
    // Nothing is kept of a kit for which there is no room.
    app.db.read(move |c| room(c, owner, &digest)).await?;
    let kit = described(app, caller, owner, &upload.kit);
    let [_, _, image] = &upload.files;
    let image = library::Upload {
        bytes: image.clone(),
        filename: format!("{}-{}.bin", kit.variant, upload.kit.chip.as_str()),
        signature: upload.signature,
        description: format!(
            "The app of the kit {} {}. {}",
            kit.variant, kit.version, kit.notes
        ),
        ..library::Upload::default()
    };
    let (spawned, caller) = (app.clone(), caller.clone());
    let work = async move {
        library::keep_for(&spawned, &caller, owner, image).await?;
        store_kit(&spawned, &caller, kit, upload.files).await
    };
    // To its end even when the client hangs up meanwhile: an app that came with a kit has its kit.
    app.tasks.spawn(work).await.map_err(ApiError::internal)?
}

fn described(app: &AppState, caller: &Caller, owner: AccountId, file: &KitFile) -> Kit {
    let mut parts: Vec<Part> = file
        .parts
        .iter()
        .map(|part| Part {
            name: part.name.to_owned(),
            place: part.place,
            sha256: part.sha256,
        })
        .collect();
    parts.sort_by_key(|part| part.place.offset);
    Kit {
        id: random::kit_id(&app.clock),
        owner,
        digest: file.digest(),
        variant: file.variant.clone(),
        chip: file.chip.title().to_owned(),
        project: file.project.clone(),
        version: file.version.clone(),
        flash_size: file.flash_size,
        settings: file.settings,
        otadata: file.otadata,
        notes: file.notes.clone(),
        parts,
        created_by: library::maker(caller, owner).to_string(),
        created_at: app.clock.now_ms(),
    }
}

/// The kit with this digest, when the account has it; else there must be room for it.
fn room(c: &Conn<'_>, owner: AccountId, digest: &library::Digest) -> ApiResult<Option<Kit>> {
    let known = store::by_digest(c, owner, digest)?;
    if known.is_none() && store::count(c, owner)? >= MAX_KITS {
        let sentence = format!("A library can hold {MAX_KITS} kits; delete one first.");
        return Err(ApiError::conflict("too_many_kits", sentence));
    }
    Ok(known)
}

async fn store_kit(
    app: &AppState,
    caller: &Caller,
    kit: Kit,
    files: check::Files,
) -> ApiResult<Kept> {
    let digests: Vec<_> = kit.parts.iter().map(|part| part.sha256).collect();
    let _held = app.ota.blobs.hold_all(&digests).await;
    for file in files {
        app.ota.blobs.put(file).await?;
    }
    let row = kit.clone();
    let insert = move |c: &Conn<'_>| {
        let known = room(c, row.owner, &row.digest)?;
        if known.is_none() {
            store::insert(c, &row).map_err(library::no_library)?;
        }
        Ok::<_, ApiError>(known)
    };
    if let Some(known) = app.db.write(insert).await? {
        return Ok(Kept::Known(known));
    }
    let detail = json!({
        "variant": kit.variant, "chip": kit.chip, "version": kit.version, "owner": kit.owner.to_string(),
    });
    identity::audit(app, caller, "kit.upload", &kit.id.to_string(), detail).await?;
    Ok(Kept::New(kit))
}

/// The caller's kits, newest first; admins see everybody's.
///
/// # Errors
/// Fails when the database does.
pub async fn list(app: &AppState, caller: &Caller) -> ApiResult<Vec<Kit>> {
    let owner = (!caller.role.is_admin()).then_some(caller.account);
    Ok(app.db.read(move |c| store::list(c, owner)).await?)
}

/// The usernames of those whose kits these are and who uploaded them, as far as their accounts are still there.
///
/// # Errors
/// Fails when the database does.
pub async fn names(app: &AppState, kits: &[Kit]) -> ApiResult<HashMap<String, String>> {
    let makers = kits.iter().filter_map(|kit| kit.created_by.parse().ok());
    let accounts = kits.iter().map(|kit| kit.owner).chain(makers).collect();
    let names = identity::usernames(app, accounts).await?;
    let names = names.into_iter();
    Ok(names.map(|(id, name)| (id.to_string(), name)).collect())
}

/// A kit that the caller may see.
///
/// # Errors
/// 404 when there is none.
pub async fn visible(app: &AppState, caller: &Caller, id: &str) -> ApiResult<Kit> {
    let id: KitId = id.parse().map_err(|_| no_kit())?;
    let found = app.db.read(move |c| store::get(c, id)).await?;
    found
        .filter(|kit| caller.sees(kit.owner))
        .ok_or_else(no_kit)
}

/// Removes a kit, and those of its files that nothing else needs; the app stays in the library.
///
/// # Errors
/// 404 when there is no such kit of the caller's.
pub async fn remove(app: &AppState, caller: &Caller, id: &str) -> ApiResult<()> {
    let kit = visible(app, caller, id).await?;
    let (spawned, caller) = (app.clone(), caller.clone());
    let work = async move {
        let (app, id) = (&spawned, kit.id);
        if !app.db.write(move |c| store::delete(c, id)).await? {
            return Err(no_kit());
        }
        let detail = json!({ "variant": kit.variant, "chip": kit.chip, "version": kit.version });
        identity::audit(app, &caller, "kit.delete", &id.to_string(), detail).await?;
        for part in &kit.parts {
            blobs::release(app, &part.sha256).await?;
        }
        Ok(())
    };
    app.tasks.spawn(work).await.map_err(ApiError::internal)?
}
