//! Values of steps and parameters as short text.

use serde_json::{Map, Value};

use stepwell_workflow::catalog::{Better, Figure};

/// Most characters of a value in a table.
pub const MOST_CHARACTERS: usize = 72;
/// Most characters of a value in a row that has several.
const FEW_CHARACTERS: usize = 24;
/// Most values in a row.
const MOST_VALUES: usize = 4;

/// Formats JSON on one line of a table.
pub fn short(value: &Value) -> String {
    cut(&text(value), MOST_CHARACTERS)
}

/// The text itself, or JSON; a fraction has six digits.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().map(fraction).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Six significant digits, and no more than the number has.
fn fraction(number: f64) -> String {
    let exact = number.to_string();
    let digits = exact.chars().filter(char::is_ascii_digit).count();
    let magnitude = number.abs();
    if digits <= 7 || magnitude == 0.0 || !number.is_finite() {
        return exact;
    }
    if !(1e-4..1e6).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    let places = 5 - magnitude.log10().floor() as i32;
    let rounded = format!("{number:.*}", usize::try_from(places).unwrap_or(0));
    match rounded.contains('.') {
        true => rounded.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => rounded,
    }
}

/// Cuts a text to so many characters.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first values of a step as `name=value name=value`.
pub fn in_a_row(values: &Map<String, Value>) -> String {
    let shown = values.iter().filter(|(_, value)| !value.is_null()).take(MOST_VALUES);
    let shown: Vec<String> =
        shown.map(|(name, value)| format!("{name}={}", cut(&text(value), FEW_CHARACTERS))).collect();
    let more = if values.len() > MOST_VALUES { " ..." } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// The declaration of a value by the kind of its step.
pub fn figure(kind: &str, value: &str) -> Option<&'static Figure> {
    stepwell_steps::find(kind)?.gives().values.figure(value)
}

pub fn better(kind: &str, value: &str) -> Option<Better> {
    figure(kind, value)?.better
}

/// The name of a value in text for people.
pub fn label(kind: &str, value: &str) -> String {
    let declared = figure(kind, value).and_then(|figure| figure.label);
    declared.map_or_else(|| value.replace('_', " "), str::to_owned)
}

/// Text that helps to judge a value: which way is better, or whether a model beats its baseline.
pub fn remark(kind: &str, value: &str, values: &Map<String, Value>) -> String {
    let number = |name: &str| values.get(name).and_then(Value::as_f64);
    let against = figure(kind, value).and_then(|figure| figure.baseline_of);
    match against.and_then(|of| Some((better(kind, of)?, number(of)?, number(value)?))) {
        Some((better, model, baseline)) if better.is_better(model, baseline) => "the model beats it".to_owned(),
        Some(_) => "the model does not beat it yet".to_owned(),
        None => direction(better(kind, value)),
    }
}

/// Text such as `lower is better`; empty where a value is neither good nor bad.
pub fn direction(better: Option<Better>) -> String {
    better.map(|better| format!("{} is better", better.as_str())).unwrap_or_default()
}

/// Values by their path, such as `optimizer.lr`; lists stay whole.
pub fn leaves(path: &str, table: &Map<String, Value>, found: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(inner) if !inner.is_empty() => leaves(&path, inner, found),
            value => found.push((path, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_short_and_texts_have_no_quotes() {
        for (value, expected) in [
            (json!(2.123456789), "2.12346"),
            (json!(0.003), "0.003"),
            (json!(1.0), "1"),
            (json!(0.000012345678), "1.235e-5"),
            (json!(123456.789), "123457"),
            (json!(1e-5), "0.00001"),
            (json!(-0.0123456789), "-0.0123457"),
            (json!(7), "7"),
            (json!("a b"), "a b"),
            (json!([1, "x"]), r#"[1,"x"]"#),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn a_row_of_values_is_bounded() {
        let values = json!({ "a": 1, "b": null, "c": "x".repeat(100), "d": 0.5, "e": 5, "f": 6 });
        let row = in_a_row(values.as_object().unwrap());
        assert_eq!(row, format!("a=1 c={}... d=0.5 e=5 ...", "x".repeat(24)));
    }

    #[test]
    fn values_have_paths_into_tables() {
        let table = json!({ "lr": 0.1, "model": { "layers": 2, "list": [1] }, "empty": {} });
        let mut found = Vec::new();
        leaves("", table.as_object().unwrap(), &mut found);
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["empty", "lr", "model.layers", "model.list"]);
    }
}
