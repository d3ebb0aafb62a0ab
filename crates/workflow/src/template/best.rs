//! Chooses one child of a fan-out by a number: `steps.train | best(by="values.val_loss")`.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, State, Value, filters};

/// What a child has; a path that starts with another name is one of its values.
const PARTS: [&str; 4] = ["values", "outputs", "item", "index"];
/// Key of the children in the value of `steps.ID`.
pub(super) const CHILDREN: &str = "children";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Min,
    Max,
}

/// The filter and the function `best(children, by, order="min")`.
pub(super) fn best(children: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let (positional, kwargs): (&[Value], Kwargs) = from_args(&args)?;
    let by = match positional {
        [] => kwargs.get::<Option<&str>>("by")?,
        [by] => by.as_str(),
        _ => None,
    };
    let order = match kwargs.get::<Option<&str>>("order")? {
        None | Some("min") => Order::Min,
        Some("max") => Order::Max,
        Some(other) => return Err(refused(format!("`order` is \"min\" or \"max\", not \"{other}\""))),
    };
    kwargs.assert_all_used()?;
    let by = by.ok_or_else(|| refused("`best` needs `by`: write `best(by=\"values.NAME\")`".to_owned()))?;
    choose(&children, by, order)
}

/// The filter `min`, also with `by`.
pub(super) fn min(state: &State<'_, '_>, value: Value, kwargs: Kwargs) -> Result<Value, Error> {
    if kwargs.has("by") { by(&value, &kwargs, Order::Min) } else { filters::min(state, value, kwargs) }
}

/// The filter `max`, also with `by`.
pub(super) fn max(state: &State<'_, '_>, value: Value, kwargs: Kwargs) -> Result<Value, Error> {
    if kwargs.has("by") { by(&value, &kwargs, Order::Max) } else { filters::max(state, value, kwargs) }
}

fn by(children: &Value, kwargs: &Kwargs, order: Order) -> Result<Value, Error> {
    let by = kwargs.get::<&str>("by")?;
    kwargs.assert_all_used()?;
    choose(children, by, order)
}

/// Returns the child with the smallest or the largest number; of equal ones the first. Children without a number, such as
/// those whose loss is null, are passed over.
fn choose(children: &Value, by: &str, order: Order) -> Result<Value, Error> {
    let list = match children.get_attr(CHILDREN) {
        Ok(list) if children.kind() == ValueKind::Map && !list.is_undefined() => list,
        _ => children.clone(),
    };
    if !matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(refused(
            "it chooses among the children of a fan-out: write `steps.ID | best(by=\"values.NAME\")`".to_owned(),
        ));
    }
    let mut best: Option<(f64, Value)> = None;
    let mut names = Vec::new();
    for child in list.try_iter()? {
        let Some(number) = number(&child, by) else {
            if names.is_empty() {
                names = values_of(&child);
            }
            continue;
        };
        let is_better = |(known, _): &(f64, Value)| match order {
            Order::Min => number < *known,
            Order::Max => number > *known,
        };
        if best.as_ref().is_none_or(is_better) {
            best = Some((number, child));
        }
    }
    best.map(|(_, child)| child).ok_or_else(|| {
        let known = if names.is_empty() { String::new() } else { format!("; they have {}", names.join(", ")) };
        refused(format!("no child has a number `{by}`{known}"))
    })
}

fn number(child: &Value, by: &str) -> Option<f64> {
    let mut parts = by.split('.').peekable();
    let first = parts.peek()?;
    let is_child = child.get_attr("values").is_ok_and(|values| !values.is_undefined());
    let mut value = if is_child && !PARTS.contains(first) { child.get_attr("values").ok()? } else { child.clone() };
    for part in parts {
        value = match part.parse::<usize>() {
            Ok(index) if value.kind() == ValueKind::Seq => value.get_item_by_index(index).ok()?,
            _ => value.get_attr(part).ok()?,
        };
    }
    (value.kind() == ValueKind::Number).then(|| f64::try_from(value).ok()).flatten().filter(|number| number.is_finite())
}

/// Names of a child's values, for messages.
fn values_of(child: &Value) -> Vec<String> {
    let values = child.get_attr("values").unwrap_or_default();
    let names = values.try_iter().into_iter().flatten().take(10);
    names.map(|name| format!("`values.{name}`")).collect()
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
