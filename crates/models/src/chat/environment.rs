//! The environment of templates: what `transformers` gives them, with limits.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, escape_formatter};

use super::budget::{copied, factor, printed};
use super::functions::{dict, items, learned, methods, python_tests, raise_exception, strftime_now};
use super::guards::guard;
use super::json_filter::{number, tojson};
use super::rewrite::{COPIED, DICT, FACTOR, ITEMS, LEARNED, PRINTED};

/// Steps of a template. A conversation of 1,000 messages takes some 100,000.
const FUEL: u64 = 5_000_000;
/// Nesting of blocks, macros and calls.
const RECURSION: usize = 200;

/// # Errors
/// Never, as long as the delimiters are Jinja's.
pub fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_debug(false);
    environment.set_unknown_method_callback(methods);
    environment.set_formatter(|output, state, value| match value.kind() {
        ValueKind::Number => Ok(output.write_str(&number(value))?),
        _ => escape_formatter(output, state, value),
    });
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter(COPIED, copied);
    environment.add_filter(PRINTED, printed);
    environment.add_filter(LEARNED, learned);
    environment.add_filter(FACTOR, factor);
    environment.add_function(DICT, dict);
    environment.add_function(ITEMS, items);
    python_tests(&mut environment);
    guard(&mut environment);
    Ok(environment)
}
