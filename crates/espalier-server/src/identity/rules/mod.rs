//! Access rules: who may do what with whose things, as expressions that admins may change.
//!
//! A document holds a CEL expression per collection and action. It is compiled once when it is saved; the
//! document that ships is also written in Rust, and that is what runs while nobody changed it. A missing
//! rule and an expression that fails deny.
//!
//! What the actions mean: `.read` is to see it, in lists and live events too; `.control` (or `.write`) is to
//! set what a device should do, to touch a widget, to mark a notification; `.manage` is to create and change;
//! `.own` is to create a device, to delete, to share. A widget asks the same rule of its dashboard too, a
//! value on it those of the device and its telemetry. Devices may be opened to others by a rule; dashboards,
//! widgets and notifications exist for their owner only, and rules can but narrow that. `users` holds for
//! what admins do with accounts, except owners; one's own account under `/me` is not governed.
//!
//! Rules never decide who may edit rules, so nobody is locked out.

mod compile;
mod document;
mod limits;
mod set;
#[cfg(test)]
mod tests;

pub use compile::evaluate;
pub use document::{Document, default_document};
pub use set::RuleSet;

use super::Caller;
use super::store::rules as store;
use crate::{ApiError, AppState};
use espalier_model::{AccountId, Action, Role, ShareRole};

/// A kind of thing that rules speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collection {
    /// Boards.
    Devices,
    /// What boards measure.
    Telemetry,
    /// Dashboards.
    Dashboards,
    /// What is on dashboards.
    Widgets,
    /// Notifications.
    Notifications,
    /// Accounts, as admins manage them.
    Users,
}

impl Collection {
    /// Every collection.
    pub const ALL: [Self; 6] = [
        Self::Devices,
        Self::Telemetry,
        Self::Dashboards,
        Self::Widgets,
        Self::Notifications,
        Self::Users,
    ];

    /// The name in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Telemetry => "telemetry",
            Self::Dashboards => "dashboards",
            Self::Widgets => "widgets",
            Self::Notifications => "notifications",
            Self::Users => "users",
        }
    }

    /// What one of them is called in an answer.
    fn one(self) -> &'static str {
        match self {
            Self::Devices => "Device",
            Self::Telemetry => "Telemetry",
            Self::Dashboards => "Dashboard",
            Self::Widgets => "Widget",
            Self::Notifications => "Notification",
            Self::Users => "User",
        }
    }
}

/// Every action, in the order of what it permits.
pub const ACTIONS: [Action; 4] = [Action::Read, Action::Control, Action::Manage, Action::Own];

/// The name of an action's rule in the document.
pub fn rule_name(action: Action) -> &'static str {
    match action {
        Action::Read => ".read",
        Action::Control => ".control",
        Action::Manage => ".manage",
        Action::Own => ".own",
    }
}

/// What a rule may know of the thing; what does not apply to it is empty.
#[derive(Debug, Clone, Copy, Hash)]
pub struct RuleData<'a> {
    /// Whose it is.
    pub owner: AccountId,
    /// The role of the share that the caller has, if any.
    pub share: Option<ShareRole>,
    /// Its id on the wire.
    pub id: &'a str,
    /// Its name; of a widget its label, of a notification its title.
    pub name: &'a str,
    /// What kind of it it is; of an account its role.
    pub kind: &'a str,
    /// The wire id of the device that it is, shows or speaks of.
    pub device: &'a str,
    /// Its tags.
    pub tags: &'a [Box<str>],
}

impl<'a> RuleData<'a> {
    /// A thing of which no more is known than whose it is and what it is called.
    pub fn of(owner: AccountId, id: &'a str, name: &'a str) -> Self {
        Self {
            owner,
            share: None,
            id,
            name,
            kind: "",
            device: "",
            tags: &[],
        }
    }
}

/// Tells whether the rules that ship hold, which change nothing that the features decide by themselves: then
/// lists and live events need no second look.
pub fn by_default(app: &crate::App) -> bool {
    app.identity.rules.load().is_default()
}

/// Refuses what the rules do not permit.
///
/// # Errors
/// 404 when the caller may not even see the thing, else 403.
pub fn require(
    app: &crate::App,
    caller: &Caller,
    collection: Collection,
    action: Action,
    data: &RuleData<'_>,
) -> Result<(), ApiError> {
    if allowed(app, caller, collection, action, data) {
        return Ok(());
    }
    if action > Action::Read && allowed(app, caller, collection, Action::Read, data) {
        return Err(refused(collection, action));
    }
    Err(ApiError::not_found(collection.one()))
}

/// Refuses to create what the rules do not permit.
///
/// # Errors
/// 403.
pub fn require_new(
    app: &crate::App,
    caller: &Caller,
    collection: Collection,
    action: Action,
    data: &RuleData<'_>,
) -> Result<(), ApiError> {
    if allowed(app, caller, collection, action, data) {
        return Ok(());
    }
    Err(refused(collection, action))
}

fn refused(collection: Collection, action: Action) -> ApiError {
    ApiError::forbidden(format!(
        "The access rules of this installation ({}/{}) do not permit this; ask an admin.",
        collection.name(),
        rule_name(action)
    ))
}

/// Tells whether a caller may do `action` with a thing. Viewers never do more than read, whatever the rules,
/// except with their own notifications.
pub fn allowed(
    app: &crate::App,
    caller: &Caller,
    collection: Collection,
    action: Action,
    data: &RuleData<'_>,
) -> bool {
    let own_inbox = collection == Collection::Notifications;
    if caller.role == Role::Viewer && action > Action::Read && !own_inbox {
        return false;
    }
    app.identity
        .rules
        .load()
        .allows(caller, collection, action, data)
}

/// What the shipped document says, in Rust.
fn shipped(role: Role, is_owner: bool, share: Option<ShareRole>, action: Action) -> bool {
    role.is_admin() || is_owner || share.is_some_and(|share| share.permits(action))
}

/// Checks a document, saves it as the next revision and puts it into force.
///
/// # Errors
/// 422 that names the rule and the place, 409 when somebody saved another revision meanwhile.
pub async fn save(
    app: &AppState,
    caller: &Caller,
    document: serde_json::Value,
    expected: Option<i64>,
) -> Result<i64, ApiError> {
    let parsed = Document::parse(&document)?;
    // Hostile nesting costs stack and time: not on an async thread.
    let set = tokio::task::spawn_blocking(move || RuleSet::compile(&parsed))
        .await
        .map_err(ApiError::internal)??;
    let (text, by, now) = (
        document.to_string(),
        caller.account.to_string(),
        app.clock.now_ms(),
    );
    let revision = app
        .db
        .write(move |c| {
            let last = store::newest(c)?.map_or(0, |saved| saved.revision);
            if expected.is_some_and(|expected| expected != last) {
                return Err(ApiError::conflict(
                    "rules_changed",
                    format!("The rules were changed meanwhile (revision {last}); load them again."),
                ));
            }
            store::insert(c, last + 1, &text, &by, now)?;
            Ok(last + 1)
        })
        .await?;
    let set = std::sync::Arc::new(set.at_revision(revision));
    app.identity.rules.rcu(|current| {
        // Two saves at once may arrive here in the other order.
        if current.revision() > revision {
            current.clone()
        } else {
            set.clone()
        }
    });
    let target = format!("revision {revision}");
    super::audit(app, caller, "rules.save", &target, serde_json::json!({})).await?;
    Ok(revision)
}

/// The rules in force: the newest saved, or the shipped ones.
///
/// # Errors
/// Returns the database's error. A document that no longer compiles denies everything but admins' own
/// editing, and says so in the log.
pub async fn load(db: &espalier_db::Db) -> Result<RuleSet, espalier_db::Error> {
    let Some(saved) = db.read(store::newest).await? else {
        return Ok(RuleSet::shipped());
    };
    let compiled = serde_json::from_str(&saved.document)
        .map_err(|e| ApiError::invalid(&["body"], e.to_string()))
        .and_then(|document| Document::parse(&document))
        .and_then(|document| RuleSet::compile(&document));
    Ok(match compiled {
        Ok(set) => set.at_revision(saved.revision),
        Err(error) => {
            tracing::error!(revision = saved.revision, %error, "the saved access rules are not valid; everything is denied until they are saved again");
            RuleSet::deny_all().at_revision(saved.revision)
        }
    })
}
