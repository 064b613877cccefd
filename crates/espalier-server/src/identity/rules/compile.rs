//! Expressions: compiled once, tried on samples when saved, evaluated with `auth` and `data`.

use super::document::default_document;
use super::{Collection, Document, RuleData, limits, rule_name, shipped};
use crate::ApiError;
use crate::identity::Caller;
use cel::{Context, Env, Program, Value};
use espalier_model::{Action, Role, ShareRole};
use std::collections::HashMap;
use std::sync::Arc;

/// Loops that one expression may hold: nested ones multiply.
const MAX_LOOPS: usize = 2;
/// What starts a loop in CEL.
const LOOPS: [&str; 5] = [".all(", ".exists(", ".exists_one(", ".map(", ".filter("];

/// What a rule knows of the caller.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The account's id.
    pub uid: String,
    /// The role.
    pub role: Role,
}

/// Compiled rules.
pub struct RuleSet {
    revision: i64,
    /// `None` while the shipped document holds.
    rules: Option<HashMap<(Collection, Action), Program>>,
    context: Context<'static, 'static>,
}

fn context() -> Context<'static, 'static> {
    Context::with_env(Arc::new(Env::stdlib()))
}

impl RuleSet {
    /// The rules that ship, in Rust.
    pub fn shipped() -> Self {
        Self {
            revision: 0,
            rules: None,
            context: context(),
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

    /// Tells whether the rules permit it; what fails denies.
    pub fn allows(
        &self,
        caller: &Caller,
        collection: Collection,
        action: Action,
        data: &RuleData<'_>,
    ) -> bool {
        let Some(rules) = &self.rules else {
            return shipped(
                caller.role,
                data.owner == caller.account,
                data.share,
                action,
            );
        };
        let Some(program) = rules.get(&(collection, action)) else {
            return false;
        };
        let auth = Auth {
            uid: caller.account.to_string(),
            role: caller.role,
        };
        let given = data_value(
            &data.owner.to_string(),
            data.share,
            data.id,
            data.name,
            data.tags,
        );
        run(&self.context, program, auth_value(&auth), given) == Ok(true)
    }
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let map: HashMap<String, Value> = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Value::from(map)
}

fn text(value: &str) -> Value {
    Value::String(Arc::new(value.to_owned()))
}

fn auth_value(auth: &Auth) -> Value {
    // The words of the old rules files.
    let access_right = match auth.role {
        Role::Viewer | Role::Member => "Standard",
        Role::Admin => "Elevated",
        Role::Owner => "Supreme",
    };
    map([
        ("uid", text(&auth.uid)),
        ("role", text(auth.role.as_str())),
        ("access_right", text(access_right)),
        ("is_admin", Value::Bool(auth.role.is_admin())),
    ])
}

fn data_value(
    owner: &str,
    share: Option<ShareRole>,
    id: &str,
    name: &str,
    tags: &[Box<str>],
) -> Value {
    let tags = tags.iter().map(|tag| text(tag)).collect();
    map([
        ("owner", text(owner)),
        ("share", text(share.map_or("", ShareRole::as_str))),
        ("id", text(id)),
        ("name", text(name)),
        ("tags", Value::List(Arc::new(tags))),
    ])
}

fn run(
    context: &Context<'_, '_>,
    program: &Program,
    auth: Value,
    data: Value,
) -> Result<bool, String> {
    let mut scope = context.new_inner_scope();
    scope.add_variable_from_value("auth", auth);
    scope.add_variable_from_value("data", data);
    match program.execute(&scope) {
        Ok(Value::Bool(answer)) => Ok(answer),
        Ok(other) => Err(format!("must be true or false, but is {}", other.type_of())),
        Err(error) => Err(error.to_string()),
    }
}

/// Compiles one expression and tries it on samples of every role and share.
fn check(context: &Context<'_, '_>, source: &str) -> Result<Program, String> {
    let program = compile_one(source)?;
    let tags: [Box<str>; 2] = ["garden".into(), "lab".into()];
    let shares = [
        None,
        Some(ShareRole::Viewer),
        Some(ShareRole::Member),
        Some(ShareRole::Admin),
    ];
    for role in [Role::Viewer, Role::Member, Role::Admin, Role::Owner] {
        for share in shares {
            for (owner, tags) in [("u1", &tags[..]), ("u2", &[])] {
                let auth = auth_value(&Auth {
                    uid: "u1".to_owned(),
                    role,
                });
                let data = data_value(owner, share, "65e1c0400123456789abcdef", "balcony", tags);
                run(context, &program, auth, data)?;
            }
        }
    }
    Ok(program)
}

fn compile_one(source: &str) -> Result<Program, String> {
    limits::check_text(source)?;
    let packed: String = source.split_whitespace().collect();
    let loops: usize = LOOPS
        .iter()
        .map(|start| packed.matches(start).count())
        .sum();
    if loops > MAX_LOOPS {
        return Err(format!(
            "holds {loops} loops; at most {MAX_LOOPS} are allowed"
        ));
    }
    let program = Program::compile(source).map_err(|errors| {
        let place = errors
            .errors
            .first()
            .map(|e| (e.pos.0, e.pos.1, e.msg.clone()));
        place.map_or_else(
            || errors.to_string(),
            |(line, column, problem)| format!("line {line}, column {column}: {problem}"),
        )
    })?;
    limits::check_tree(&program, source)?;
    Ok(program)
}

/// Evaluates one expression for given `auth` and `data`, as admins try rules out.
///
/// # Errors
/// Says what is wrong with the expression, or why it fails for these.
pub fn evaluate(
    source: &str,
    auth: &serde_json::Value,
    data: &serde_json::Value,
) -> Result<bool, String> {
    limits::with_room(|| {
        let program = compile_one(source)?;
        run(&context(), &program, from_json(auth), from_json(data))
    })
    .flatten()
}

fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => number.as_i64().map_or_else(
            || Value::Float(number.as_f64().unwrap_or_default()),
            Value::Int,
        ),
        serde_json::Value::String(string) => text(string),
        serde_json::Value::Array(list) => {
            Value::List(Arc::new(list.iter().map(from_json).collect()))
        }
        serde_json::Value::Object(object) => {
            let map: HashMap<String, Value> = object
                .iter()
                .map(|(key, value)| (key.clone(), from_json(value)))
                .collect();
            Value::from(map)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ACTIONS;
    use super::*;
    use crate::identity::principal::{CallerInfo, Credential, Scopes};
    use espalier_model::AccountId;
    use proptest::prelude::*;
    use serde_json::json;

    fn caller(account: AccountId, role: Role) -> Caller {
        Caller(Arc::new(CallerInfo {
            account,
            username: "ada".to_owned(),
            role,
            credential: Credential::Password,
            scopes: Scopes::ALL,
        }))
    }

    #[test]
    fn the_shipped_document_and_the_rust_beside_it_agree_everywhere() {
        let document = Document::parse(&default_document()).unwrap();
        let compiled = RuleSet::compile_all(&document).unwrap();
        let (ada, bob) = (AccountId::mint(0, [1; 10]), AccountId::mint(0, [2; 10]));
        let shares = [
            None,
            Some(ShareRole::Viewer),
            Some(ShareRole::Member),
            Some(ShareRole::Admin),
        ];
        for role in [Role::Viewer, Role::Member, Role::Admin, Role::Owner] {
            for (owner, share) in [ada, bob].into_iter().flat_map(|o| shares.map(|s| (o, s))) {
                for (collection, action) in Collection::ALL
                    .into_iter()
                    .flat_map(|c| ACTIONS.map(|a| (c, a)))
                {
                    let data = RuleData {
                        owner,
                        share,
                        id: "x",
                        name: "n",
                        tags: &[],
                    };
                    let who = caller(ada, role);
                    assert_eq!(
                        RuleSet::shipped().allows(&who, collection, action, &data),
                        compiled.allows(&who, collection, action, &data),
                        "{role} {owner} {share:?} {collection:?} {action}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_missing_rule_denies_even_the_owner() {
        let document = Document::parse(&json!({ "devices": { ".read": true } })).unwrap();
        let rules = RuleSet::compile(&document).unwrap();
        let ada = AccountId::mint(0, [1; 10]);
        let data = RuleData {
            owner: ada,
            share: None,
            id: "x",
            name: "n",
            tags: &[],
        };
        let who = caller(ada, Role::Owner);
        assert!(rules.allows(&who, Collection::Devices, Action::Read, &data));
        assert!(!rules.allows(&who, Collection::Devices, Action::Own, &data));
        assert!(!rules.allows(&who, Collection::Telemetry, Action::Read, &data));
    }

    #[test]
    fn wrong_rules_are_refused_with_their_name_and_place() {
        let cases = [
            ("auth.is_admin ||", "column"),
            ("auth.is_admin || nobody == 1", "unknown variable `nobody`"),
            ("data.owner", "must be true or false"),
            ("data.nothing == 'x'", "nothing"),
            ("auth.is_admin ? true : 1", "must be true or false"),
            (
                "data.tags.all(a, data.tags.all(b, data.tags.all(c, true)))",
                "loops",
            ),
        ];
        for (text, wanted) in cases {
            let document = Document::parse(&json!({ "devices": { ".read": text } })).unwrap();
            let error = RuleSet::compile(&document).err().expect(text);
            assert!(error.message().contains("devices/.read"), "{error}");
            assert!(error.message().contains(wanted), "{error}");
        }
        for document in [
            json!([]),
            json!({ "x": {} }),
            json!({ "devices": { ".x": true } }),
            json!({ "devices": { ".read": 1 } }),
        ] {
            assert!(Document::parse(&document).is_err(), "{document}");
        }
    }

    #[test]
    fn tags_can_be_asked_about() {
        let rule = "data.tags.exists(tag, tag == 'lab') && auth.role != 'viewer'";
        let auth = json!({ "role": "member" });
        assert_eq!(evaluate(rule, &auth, &json!({ "tags": ["lab"] })), Ok(true));
        assert_eq!(evaluate(rule, &auth, &json!({ "tags": [] })), Ok(false));
        assert!(evaluate(rule, &auth, &json!({})).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_compiler_panic(text in "[-a-z0-9 .()\\[\\]'\"|&!?:<>=+*/{},]{0,80}") {
            let _ = evaluate(&text, &json!({}), &json!({}));
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_a_crash() {
        let longest = [
            format!("{}true{}", "(".repeat(16), ")".repeat(16)),
            format!("{}true", "!".repeat(80)),
            format!("1{}", "+1".repeat(80)),
            format!("1{}", "==1".repeat(40)),
            format!("1{}", " in a".repeat(32)),
            format!("a{}", "[0]".repeat(80)),
            format!("{}true", "true && ".repeat(40)),
            format!("a{}", ".a".repeat(80)),
            format!("{}1{}", "[".repeat(16), "]".repeat(16)),
            format!("{}true{}", "true ? ".repeat(8), " : true".repeat(8)),
        ];
        for text in longest {
            assert_eq!(limits::check_text(&text), Ok(()), "{text}");
            let _ = evaluate(&text, &json!({}), &json!({}));
        }
        let rule = |text: String| Document::parse(&json!({ "devices": { ".read": text } }));
        let deep = rule(format!("1{} == 1", "+1".repeat(40))).unwrap();
        assert!(RuleSet::compile(&deep).is_err());
        let deepest = rule(format!("1{} == 1", "+1".repeat(17))).unwrap();
        let rules = RuleSet::compile(&deepest).unwrap();
        let ada = AccountId::mint(0, [1; 10]);
        let data = RuleData {
            owner: ada,
            share: None,
            id: "x",
            name: "n",
            tags: &[],
        };
        // On this thread, which has no more stack than the server's.
        rules.allows(
            &caller(ada, Role::Member),
            Collection::Devices,
            Action::Read,
            &data,
        );
        for text in [
            "(".repeat(1000),
            "!".repeat(1000),
            "[".repeat(1000),
            "-".repeat(999) + "1",
            "a.".repeat(499) + "a",
            "1+".repeat(499) + "1",
            "a?".repeat(300),
        ] {
            let _ = evaluate(&text, &json!({}), &json!({}));
        }
    }
}
