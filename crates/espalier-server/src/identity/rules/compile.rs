//! Expressions: compiled once, tried on samples when saved, evaluated with `auth` and `data`.

use super::{RuleData, limits};
use crate::identity::CallerInfo;
use cel::{Context, Env, Program, Value};
use espalier_model::{AccountId, Role, ShareRole};
use std::collections::HashMap;
use std::sync::Arc;

/// Loops that one expression may hold: nested ones multiply.
const MAX_LOOPS: usize = 2;
/// What starts a loop in CEL.
const LOOPS: [&str; 5] = [".all(", ".exists(", ".exists_one(", ".map(", ".filter("];

/// What expressions can call.
pub(super) fn context() -> Context<'static, 'static> {
    Context::with_env(Arc::new(Env::stdlib()))
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

fn auth_value(uid: &str, role: Role) -> Value {
    // The words of the old rules files.
    let access_right = match role {
        Role::Viewer | Role::Member => "Standard",
        Role::Admin => "Elevated",
        Role::Owner => "Supreme",
    };
    map([
        ("uid", text(uid)),
        ("role", text(role.as_str())),
        ("access_right", text(access_right)),
        ("is_admin", Value::Bool(role.is_admin())),
    ])
}

fn data_value(data: &RuleData<'_>) -> Value {
    let tags = data.tags.iter().map(|tag| text(tag)).collect();
    map([
        ("owner", text(&data.owner.to_string())),
        ("share", text(data.share.map_or("", ShareRole::as_str))),
        ("id", text(data.id)),
        ("name", text(data.name)),
        ("kind", text(data.kind)),
        ("device", text(data.device)),
        ("tags", Value::List(Arc::new(tags))),
    ])
}

/// Asks one compiled expression.
///
/// # Errors
/// Says why it has no answer.
pub(super) fn execute(
    context: &Context<'_, '_>,
    program: &Program,
    caller: &CallerInfo,
    data: &RuleData<'_>,
) -> Result<bool, String> {
    let auth = auth_value(&caller.account.to_string(), caller.role);
    run(context, program, auth, data_value(data))
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
pub(super) fn check(context: &Context<'_, '_>, source: &str) -> Result<Program, String> {
    let program = compile_one(source)?;
    let tags: [Box<str>; 2] = ["garden".into(), "lab".into()];
    let shares = [
        None,
        Some(ShareRole::Viewer),
        Some(ShareRole::Member),
        Some(ShareRole::Admin),
    ];
    let (mine, other) = (AccountId::mint(0, [1; 10]), AccountId::mint(0, [2; 10]));
    for role in [Role::Viewer, Role::Member, Role::Admin, Role::Owner] {
        for share in shares {
            for (owner, tags) in [(mine, &tags[..]), (other, &[])] {
                let data = RuleData {
                    share,
                    tags,
                    kind: "plug",
                    device: "65e1c0400123456789abcdef",
                    ..RuleData::of(owner, "65e1c0400123456789abcdef", "balcony")
                };
                let auth = auth_value(&mine.to_string(), role);
                run(context, &program, auth, data_value(&data))?;
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
