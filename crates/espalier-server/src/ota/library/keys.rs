//! The keys whose signatures an account's boards trust, and the signed set of them that boards keep.

use super::{Firmware, Signed, signature, store, to_the_end};
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::{ApiError, AppState};
use axum::http::StatusCode;
use espalier_db::Conn;
use espalier_image::keys::{KeySet as Document, MAX_KEYS as MOST_IN_A_SET, PublicKey, key_set};
use espalier_model::AccountId;
use serde_json::json;
use std::sync::Arc;

/// Keys of one account, retired ones too.
const MAX_KEYS: usize = 64;
/// The longest name, characters.
const MAX_NAME: usize = 100;

/// A public key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Whose boards trust it.
    pub owner: AccountId,
    /// What people call it.
    pub name: String,
    /// The key.
    pub public: PublicKey,
    /// When it was added, milliseconds UTC.
    pub added_at: i64,
    /// When it was retired: it signs nothing new, and what only it signed is not offered any more.
    pub retired_at: Option<i64>,
}

impl Key {
    /// Its id: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        self.public.id().to_string()
    }
}

/// The signed key set that an account's boards are to keep.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// Whose.
    pub owner: AccountId,
    /// Its serial; a board takes only a higher one than it has.
    pub serial: u32,
    /// The signed text.
    pub document: String,
    /// When it was put, milliseconds UTC.
    pub updated_at: i64,
}

/// Reads a public key: a `.pub` file's text, or its base64 alone.
fn parse(text: &str) -> ApiResult<PublicKey> {
    let key = PublicKey::from_base64(text.trim());
    let key = key.map_or_else(|| PublicKey::from_file(text), Ok);
    key.map_err(|error| {
        let why = format!(
            "wanted a .pub file of `espalier firmware keygen`, or the base64 of its key: {error}"
        );
        ApiError::invalid(&["body", "public_key"], why)
    })
}

fn check_name(name: &str) -> ApiResult<String> {
    let name = name.trim();
    let fits = (1..=MAX_NAME).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    let why = format!("must have 1 to {MAX_NAME} characters on one line");
    Err(ApiError::invalid(&["body", "name"], why))
}

/// Trusts a key; tells whether it is new.
///
/// # Errors
/// 409 when the key was retired or there are too many, 422 when it is none.
pub async fn add(
    app: &AppState,
    caller: &Caller,
    name: &str,
    text: &str,
) -> ApiResult<(Arc<Key>, bool)> {
    let key = Key {
        owner: caller.account,
        name: check_name(name)?,
        public: parse(text)?,
        added_at: app.clock.now_ms(),
        retired_at: None,
    };
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let library = &app.ota.library;
        let _alone = library.changing.lock().await;
        let known = library.keys(key.owner);
        match known.iter().find(|known| known.public == key.public) {
            Some(known) if known.retired_at.is_some() => {
                let sentence = "This key was retired and cannot come back; make a new one with `espalier firmware keygen`.";
                return Err(ApiError::conflict("retired_key", sentence));
            }
            Some(known) => return Ok((known.clone(), false)),
            None => {}
        }
        if known.len() >= MAX_KEYS {
            let sentence = format!("An account can have {MAX_KEYS} keys, retired ones too.");
            return Err(ApiError::conflict("too_many_keys", sentence));
        }
        let row = key.clone();
        let insert = move |c: &Conn<'_>| {
            store::insert_key(c, &row)?;
            store::keys_of(c, row.owner)
        };
        let keys = app.db.write(insert).await.map_err(super::firmware::no_library)?;
        library.put_keys(key.owner, keys);
        let detail = json!({ "name": key.name });
        identity::audit(&app, &caller, "firmware.key.add", &key.id(), detail).await?;
        Ok((Arc::new(key), true))
    })
    .await
}

/// Retires a key: what only it signed is not offered any more. One that was retired stays so.
///
/// # Errors
/// 404 when the caller has no such key.
pub async fn retire(app: &AppState, caller: &Caller, id: &str) -> ApiResult<Arc<Key>> {
    let (app, caller, id) = (app.clone(), caller.clone(), id.to_owned());
    to_the_end(&app.clone(), async move {
        let library = &app.ota.library;
        let _alone = library.changing.lock().await;
        let find = || {
            library
                .keys(caller.account)
                .into_iter()
                .find(|key| key.id() == id)
        };
        let key = find().ok_or_else(|| ApiError::not_found("Key"))?;
        if key.retired_at.is_some() {
            return Ok(key);
        }
        let (owner, now, row) = (key.owner, app.clock.now_ms(), id.clone());
        let change = move |c: &Conn<'_>| {
            store::retire(c, owner, &row, now)?;
            store::keys_of(c, owner)
        };
        let keys = app.db.write(change).await?;
        library.put_keys(owner, keys);
        let detail = json!({ "name": key.name });
        identity::audit(&app, &caller, "firmware.key.retire", &id, detail).await?;
        find().ok_or_else(|| ApiError::not_found("Key"))
    })
    .await
}

/// Puts a signed key set: boards take it with their next update. Keys in it that were unknown are trusted from now on,
/// because a trusted key vouches for them.
///
/// # Errors
/// 409 when the serial does not grow, 422 when the document is none, no trusted key signed it, or it names a retired key.
pub async fn put_set(app: &AppState, caller: &Caller, text: String) -> ApiResult<Arc<KeySet>> {
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let library = &app.ota.library;
        let _alone = library.changing.lock().await;
        let owner = caller.account;
        let known = library.keys(owner);
        let (set, new) = read_set(&app, owner, text, &known)?;
        if known.len() + new.len() > MAX_KEYS {
            let sentence = format!("An account can have {MAX_KEYS} keys, retired ones too.");
            return Err(ApiError::conflict("too_many_keys", sentence));
        }
        let added: Vec<_> = new.iter().map(Key::id).collect();
        let row = set.clone();
        let change = move |c: &Conn<'_>| {
            new.iter().try_for_each(|key| store::insert_key(c, key))?;
            store::put_set(c, &row)?;
            store::keys_of(c, owner)
        };
        let keys = app.db.write(change).await?;
        library.put_keys(owner, keys);
        let set = Arc::new(set);
        library.put_key_set(set.clone());
        let (target, detail) = (
            format!("serial {}", set.serial),
            json!({ "new_keys": added }),
        );
        identity::audit(&app, &caller, "firmware.key.set", &target, detail).await?;
        Ok(set)
    })
    .await
}

/// Checks a key set, and finds the keys in it that are new.
fn read_set(
    app: &AppState,
    owner: AccountId,
    text: String,
    known: &[Arc<Key>],
) -> ApiResult<(KeySet, Vec<Key>)> {
    let refused =
        |sentence: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_key_set", sentence);
    let document = Document::parse(&text).map_err(|error| refused(error.to_string()))?;
    let current = known.iter().filter(|key| key.retired_at.is_none());
    let trusted: Vec<_> = current.map(|key| key.public).collect();
    let verified = document.verify(&trusted, 0);
    verified.map_err(|error| refused(signature::explain(&error, known)))?;
    let serial = app.ota.library.key_set(owner).map_or(0, |set| set.serial);
    if document.serial <= serial {
        let sentence = format!(
            "The key set has the serial {}, but {serial} is already there; make a set with a higher serial.",
            document.serial
        );
        return Err(ApiError::conflict("old_serial", sentence));
    }
    let now = app.clock.now_ms();
    let mut new = Vec::new();
    for public in &document.keys {
        match known.iter().find(|key| key.public == *public) {
            Some(key) if key.retired_at.is_some() => {
                let sentence = format!(
                    "The key set names the key {} ({}), which was retired; leave it out.",
                    key.id(),
                    key.name
                );
                return Err(refused(sentence));
            }
            Some(_) => {}
            None => new.push(Key {
                owner,
                name: format!("From key set {}", document.serial),
                public: *public,
                added_at: now,
                retired_at: None,
            }),
        }
    }
    let set = KeySet {
        owner,
        serial: document.serial,
        document: text.clone(),
        updated_at: now,
    };
    Ok((set, new))
}

/// The current keys of an account that has put no key set, first the one that signed an image, as a set with the serial 0 that
/// nobody signed: boards that know no key keep it and take only signed sets from then on, boards that know keys pay it no heed.
/// Nothing when a set was put, or there are no keys.
pub fn first_set(app: &AppState, owner: AccountId, firmware: &Firmware) -> Option<String> {
    let library = &app.ota.library;
    if library.key_set(owner).is_some() {
        return None;
    }
    let mut keys = library.keys(owner);
    keys.retain(|key| key.retired_at.is_none());
    if let Signed::Trusted(signer) = library.signed(firmware) {
        // The newest of the others follow: what signs the next images is among them.
        keys.sort_by_key(|key| (key.public != signer.public, -key.added_at));
    }
    let keys: Vec<_> = keys
        .iter()
        .take(MOST_IN_A_SET)
        .map(|key| key.public)
        .collect();
    key_set(0, &keys).ok()
}

/// The ids of an account's current keys that its key set leaves out: boards refuse what only they sign.
pub fn left_out(app: &AppState, set: &KeySet) -> Vec<String> {
    let Ok(document) = Document::parse(&set.document) else {
        return Vec::new();
    };
    let keys = app.ota.library.keys(set.owner);
    let current = keys.iter().filter(|key| key.retired_at.is_none());
    let missing = current.filter(|key| !document.keys.contains(&key.public));
    missing.map(|key| key.id()).collect()
}

/// The ids of the keys in a set.
pub fn ids(set: &KeySet) -> Vec<String> {
    let document = Document::parse(&set.document);
    document.map_or_else(
        |_| Vec::new(),
        |document| {
            document
                .keys
                .iter()
                .map(|key| key.id().to_string())
                .collect()
        },
    )
}
