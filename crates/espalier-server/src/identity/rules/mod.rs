//! Access rules: who may do what with whose things, as expressions that admins may change.
//!
//! A document holds a CEL expression per collection and action. It is compiled once when it is saved; the
//! document that ships is also written in Rust, and that is what runs while nobody changed it. A missing
//! rule and an expression that fails deny. Rules never decide who may edit rules, so nobody is locked out.

mod compile;
mod document;
mod limits;

pub use compile::{RuleSet, evaluate};
pub use document::{Document, default_document};

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
}

impl Collection {
    /// Every collection.
    pub const ALL: [Self; 5] = [
        Self::Devices,
        Self::Telemetry,
        Self::Dashboards,
        Self::Widgets,
        Self::Notifications,
    ];

    /// The name in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Telemetry => "telemetry",
            Self::Dashboards => "dashboards",
            Self::Widgets => "widgets",
            Self::Notifications => "notifications",
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

/// What a rule may know of the thing.
#[derive(Debug, Clone, Copy)]
pub struct RuleData<'a> {
    /// Whose it is.
    pub owner: AccountId,
    /// The role of the share that the caller has, if any.
    pub share: Option<ShareRole>,
    /// Its id on the wire.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its tags.
    pub tags: &'a [Box<str>],
}

/// Tells whether a caller may do `action` with a thing. Viewers never do more than read, whatever the rules.
pub fn allowed(
    app: &crate::App,
    caller: &Caller,
    collection: Collection,
    action: Action,
    data: &RuleData<'_>,
) -> bool {
    if caller.role == Role::Viewer && action > Action::Read {
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
