//! Filters whose results are longer than what they are given, with a charge before they run.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::budget::{MOST_FACTOR, charge, size};

/// Puts the guards before the filters of the engine.
pub fn guard(environment: &mut Environment<'_>) {
    environment.add_filter("__join", filters::join);
    environment.add_filter("__replace", filters::replace);
    environment.add_filter("__indent", filters::indent);
    environment.add_filter("__batch", filters::batch);
    environment.add_filter("__slice", filters::slice);
    environment.add_filter("__round", filters::round);
    environment.add_filter("__format", filters::format);
    environment.add_filter("join", |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        let items = arguments.first().and_then(Value::len).unwrap_or(0) as u64;
        let joiner: u64 = arguments.iter().skip(1).map(|argument| size(argument, 0)).sum();
        charge(items.saturating_mul(joiner))?;
        run(state, "__join", &arguments)
    });
    environment.add_filter("replace", |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        charge((length(&arguments, 0) + 1).saturating_mul(length(&arguments, 2)))?;
        run(state, "__replace", &arguments)
    });
    environment.add_filter("indent", |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        let lines = arguments.first().and_then(Value::as_str).map_or(0, |text| text.matches('\n').count() + 1);
        charge((lines as u64).saturating_mul(MOST_FACTOR.min(largest(&arguments))))?;
        run(state, "__indent", &arguments)
    });
    environment.add_filter("format", |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        let pattern = arguments.first().and_then(Value::as_str).unwrap_or_default();
        let longest = pattern.split(|character: char| !character.is_ascii_digit()).map(str::len).max();
        if longest.is_some_and(|digits| digits > 3) {
            return Err(too_large());
        }
        charge((pattern.matches('%').count() as u64).saturating_mul(1000))?;
        run(state, "__format", &arguments)
    });
    environment.add_filter("batch", |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        run(state, "__batch", &arguments.into_values())
    });
    environment.add_filter("slice", |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        run(state, "__slice", &arguments.into_values())
    });
    environment.add_filter("round", |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        run(state, "__round", &arguments.into_values())
    });
}

/// Runs a filter whose numbers, beside the value itself, are small.
fn run(state: &mut State<'_, '_>, filter: &str, arguments: &[Value]) -> Result<Value, Error> {
    if largest(arguments) > MOST_FACTOR {
        return Err(too_large());
    }
    charge(32 * largest(arguments))?;
    for argument in arguments.iter().skip(1) {
        charge(size(argument, 0))?;
    }
    state.apply_filter(filter, arguments)
}

fn too_large() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a number for a filter is at most {MOST_FACTOR}"))
}

fn length(arguments: &[Value], index: usize) -> u64 {
    arguments.get(index).and_then(Value::as_str).map_or(0, str::len) as u64
}

/// The largest number among the arguments after the first one, named ones included.
fn largest(arguments: &[Value]) -> u64 {
    let number = |value: &Value| match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).map_or(u64::MAX, |number| number.abs() as u64),
        _ => 0,
    };
    let named = |value: &Value| match value.kind() {
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            keys.filter_map(|key| value.get_item(&key).ok()).map(|item| number(&item)).max().unwrap_or(0)
        }
        _ => number(value),
    };
    arguments.iter().skip(1).map(named).max().unwrap_or(0)
}
