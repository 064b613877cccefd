//! How complex an expression may be. The parser and the evaluator of CEL recurse, and a thread that runs out
//! of stack takes the whole server with it: so the text is bounded before it is parsed, parsed on a thread
//! with room for the bound, and what came out is bounded again for the threads that evaluate it.
//!
//! Measured without optimisation, where frames are largest: parsing takes 260 KiB of stack per bracket level
//! and 50 KiB per link of a chain, evaluating takes 50 KiB per level of the tree.

use cel::Program;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// Brackets inside brackets: 4 MiB of stack while parsing.
const MAX_NESTING: usize = 16;
/// Opening brackets in all: `a[0][0]…` is a chain too.
const MAX_BRACKETS: usize = 80;
/// Conditions (`?`), each inside the other.
const MAX_CONDITIONS: usize = 8;
/// Operators of one kind; a chain of them is as deep as it is long: 4 MiB of stack while parsing.
const MAX_OPERATORS: usize = 80;
/// The words `in`, wherever they occur.
const MAX_IN: usize = 32;
/// The stack of the thread that parses, more than all of the above together.
const PARSER_STACK: usize = 64 << 20;
/// Levels of the parsed tree: 1 MiB of stack while evaluating, half of what the server's threads have.
const MAX_DEPTH: usize = 20;

/// Refuses a text that could take the parser too deep.
///
/// # Errors
/// Says what there is too much of.
pub fn check_text(source: &str) -> Result<(), String> {
    let (mut depth, mut deepest, mut brackets) = (0_usize, 0, 0);
    for c in source.chars() {
        match c {
            '(' | '[' | '{' => {
                depth += 1;
                brackets += 1;
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let count = |of: &[char]| source.matches(of).count();
    let operators = count(&['+', '-', '*', '/', '%', '!', '<', '>', '=', '.']);
    let limits = [
        ("brackets inside brackets", deepest, MAX_NESTING),
        ("brackets", brackets, MAX_BRACKETS),
        ("`?`", count(&['?']), MAX_CONDITIONS),
        ("operators", operators, MAX_OPERATORS),
        ("`&` and `|`", count(&['&', '|']), MAX_OPERATORS),
        ("`in`", source.matches("in").count(), MAX_IN),
    ];
    match limits.into_iter().find(|(_, found, most)| found > most) {
        Some((what, found, most)) => Err(format!(
            "is too complex: {found} {what}, at most {most}; write a simpler rule"
        )),
        None => Ok(()),
    }
}

/// Runs what recurses on a thread with enough stack.
///
/// # Errors
/// Fails when the operating system gives no thread or the work panics.
pub fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let refused = "cannot be checked right now; try again";
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(PARSER_STACK);
        let thread = builder
            .spawn_scoped(scope, work)
            .map_err(|_| refused.to_owned())?;
        thread.join().map_err(|_| refused.to_owned())
    })
}

/// Refuses a tree that could take the evaluator too deep, and names that neither `auth`, `data` nor a loop
/// gives.
///
/// # Errors
/// Says which.
pub fn check_tree(program: &Program, source: &str) -> Result<(), String> {
    let root = program.expression();
    let mut open: Vec<(&IdedExpr, usize)> = vec![(root, 1)];
    let (mut named, mut given) = (Vec::new(), vec!["auth", "data"]);
    while let Some((node, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(format!(
                "is too complex: more than {MAX_DEPTH} levels; write a simpler rule"
            ));
        }
        match &node.expr {
            Expr::Ident(name) => named.push(name.as_str()),
            Expr::Comprehension(comp) => {
                given.extend([comp.iter_var.as_str(), comp.accu_var.as_str()]);
                given.extend(comp.iter_var2.as_deref());
            }
            _ => {}
        }
        open.extend(
            children(&node.expr)
                .into_iter()
                .map(|child| (child, depth + 1)),
        );
    }
    let unknown = named.into_iter().find(|name| !given.contains(name));
    match unknown {
        Some(name) => {
            let column = source.find(name).map_or(1, |at| at + 1);
            Err(format!(
                "column {column}: unknown variable `{name}`; known are `auth` and `data`"
            ))
        }
        None => Ok(()),
    }
}

fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .collect(),
        Expr::Comprehension(comp) => vec![
            &comp.iter_range,
            &comp.accu_init,
            &comp.loop_cond,
            &comp.loop_step,
            &comp.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|e| parts(&e.expr)).collect(),
        Expr::Struct(made) => made.entries.iter().flat_map(|e| parts(&e.expr)).collect(),
    }
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
