//! The template engine, and facts about a template that are known before its evaluation.

use std::ops::Range;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use super::files::GLOB;
use super::references::Scan;
use super::{best, files, lexer};

/// Maximum instructions of one template, about a second. The engine evaluates templates, so an endless
/// template would stop every run.
pub(super) const MAXIMUM_WORK: u64 = 10_000_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(false);
    environment.set_fuel(Some(MAXIMUM_WORK));
    environment.remove_global("debug");
    // Each of these can ask for more memory than the machine has.
    environment.remove_global("namespace");
    for filter in ["format", "indent", "batch", "slice"] {
        environment.remove_filter(filter);
    }
    environment.add_filter("best", best::best);
    environment.add_filter("min", best::min);
    environment.add_filter("max", best::max);
    environment.add_function("best", best::best);
    environment.add_function(GLOB, files::glob);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment
});

/// The template engine: strict undefined, no loader, no output escaping.
pub(super) fn environment() -> &'static Environment<'static> {
    &ENVIRONMENT
}

/// The way to evaluate the text of an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form<'a> {
    Literal,
    /// Exactly one `{{ expression }}`, which gives a native value. `offset` is its start in the text.
    Expression {
        source: &'a str,
        offset: usize,
    },
    /// Text that contains templates, which gives text.
    Mixed,
}

pub(crate) fn form(text: &str) -> Form<'_> {
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Form::Literal;
    }
    match single_expression(text) {
        Some((source, offset)) if compiles(source) => Form::Expression { source, offset },
        _ => Form::Mixed,
    }
}

/// True if the value contains no template.
pub fn is_literal(value: &Value) -> bool {
    match value {
        Value::String(text) => form(text) == Form::Literal,
        Value::Array(items) => items.iter().all(is_literal),
        Value::Object(entries) => entries.values().all(is_literal),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Removes the optional `{{ }}` around an expression: `for_each` and `when` allow both forms. Also returns
/// the offset of the expression.
pub(crate) fn expression_text(text: &str) -> (&str, usize) {
    single_expression(text).unwrap_or((text, 0))
}

fn single_expression(text: &str) -> Option<(&str, usize)> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    Some((inner, inner.as_ptr() as usize - text.as_ptr() as usize))
}

fn compiles(expression: &str) -> bool {
    environment().compile_expression(expression).is_ok()
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) range: Option<Range<usize>>,
}

impl From<Error> for SyntaxError {
    fn from(error: Error) -> Self {
        SyntaxError { message: message(&error), range: error.range() }
    }
}

/// Describes the error without the engine's own template names and line numbers.
pub(super) fn message(error: &Error) -> String {
    let kind = error.kind();
    match error.detail() {
        Some(detail) if matches!(kind, ErrorKind::SyntaxError | ErrorKind::InvalidOperation) => detail.to_owned(),
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_string(),
    }
}

pub(crate) fn scan_text(text: &str) -> Result<Scan, SyntaxError> {
    environment().template_from_str(text)?;
    Ok(Scan::of(&lexer::template(text)))
}

pub(crate) fn scan_expression(source: &str) -> Result<Scan, SyntaxError> {
    environment().compile_expression(source)?;
    Ok(Scan::of(&lexer::expression(source)))
}

/// Known names, for messages.
pub(crate) const FUNCTIONS: [&str; 4] = ["range", "dict", "best", GLOB];
pub(crate) const FILTERS: [&str; 44] = [
    "abs",
    "attr",
    "best",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "groupby",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
    "zip",
];
pub(crate) const TESTS: [&str; 36] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

pub(crate) fn is_filter(name: &str) -> bool {
    let mut state = environment().empty_state();
    !matches!(state.apply_filter(name, &[]), Err(error) if error.kind() == ErrorKind::UnknownFilter)
}

/// True if the template engine has a test (`is name`) of this name.
pub(crate) fn is_test(name: &str) -> bool {
    let mut state = environment().empty_state();
    !matches!(state.perform_test(name, &[]), Err(error) if error.kind() == ErrorKind::UnknownTest)
}

pub(crate) fn is_function(name: &str) -> bool {
    environment().globals().any(|(known, _)| known == name)
}
