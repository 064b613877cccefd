//! The rules in force: compiled expressions, and what they have decided so far.

use super::compile::{check, context, execute};
use super::document::default_document;
use super::{Collection, Document, RuleData, limits, rule_name, shipped};
use crate::ApiError;
use crate::identity::CallerInfo;
use cel::{Context, Program};
use espalier_model::{AccountId, Action, Role};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Decisions that are remembered, 40 bytes each: every thing that a thousand accounts look at. When they are
/// full they are forgotten, and the next look at each thing costs one evaluation.
const MAX_KNOWN: usize = 100_000;

/// Who asked what about which thing; the last number is the digest of all that a rule may know of it, under
/// a key that nobody outside this process knows.
type Question = (AccountId, Role, Collection, Action, u64);

/// Compiled rules with the decisions they have made. Other rules are another set: nothing is remembered
/// across a change of the rules.
pub struct RuleSet {
    revision: i64,
    /// `None` while the shipped document holds.
    rules: Option<HashMap<(Collection, Action), Program>>,
    context: Context<'static, 'static>,
    known: RwLock<HashMap<Question, bool>>,
    digest: RandomState,
}

impl RuleSet {
    /// The rules that ship, in Rust.
    pub fn shipped() -> Self {
        Self {
            revision: 0,
            rules: None,
            context: context(),
            known: RwLock::default(),
            digest: RandomState::new(),
        }
    }

    /// Rules that permit nothing.
    pub fn deny_all() -> Self {
        Self {
            rules: Some(HashMap::new()),
            ..Self::shipped()
        }
    }

    /// Compiles a document and tries every rule on samples.
    ///
    /// # Errors
    /// 422 that names the rule and the place.
    pub fn compile(document: &Document) -> Result<Self, ApiError> {
        let default = Document::parse(&default_document())?;
        if document.0 == default.0 {
            return Ok(Self::shipped());
        }
        Self::compile_all(document)
    }

    pub(super) fn compile_all(document: &Document) -> Result<Self, ApiError> {
        let set = Self::shipped();
        let mut rules = HashMap::new();
        for (collection, action, text) in &document.0 {
            let name = format!("{}/{}", collection.name(), rule_name(*action));
            let loc = ["body", "rules", collection.name(), rule_name(*action)];
            let program = limits::with_room(|| check(&set.context, text))
                .flatten()
                .map_err(|problem| ApiError::invalid(&loc, format!("{name}: {problem}")))?;
            rules.insert((*collection, *action), program);
        }
        Ok(Self {
            rules: Some(rules),
            ..set
        })
    }

    /// The same rules as another revision.
    #[must_use]
    pub fn at_revision(self, revision: i64) -> Self {
        Self { revision, ..self }
    }

    /// The revision; 0 while nobody saved any.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Whether the shipped rules hold.
    pub fn is_default(&self) -> bool {
        self.rules.is_none()
    }

    /// Tells whether the rules permit it; what fails denies. An expression is evaluated once for an account
    /// and a thing, until either or the rules change.
    pub fn allows(
        &self,
        caller: &CallerInfo,
        collection: Collection,
        action: Action,
        data: &RuleData<'_>,
    ) -> bool {
        let Some(rules) = &self.rules else {
            let own = data.owner == caller.account;
            return shipped(caller.role, own, data.share, action);
        };
        let Some(program) = rules.get(&(collection, action)) else {
            return false;
        };
        let question = (
            caller.account,
            caller.role,
            collection,
            action,
            self.digest.hash_one(data),
        );
        if let Some(known) = self.known.read().get(&question) {
            return *known;
        }
        let answer = execute(&self.context, program, caller, data) == Ok(true);
        let mut known = self.known.write();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(question, answer);
        answer
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.known.read().len()
    }
}
