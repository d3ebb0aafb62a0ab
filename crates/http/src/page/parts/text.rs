//! Words, numbers and values for people.

use serde_json::{Map, Value};

use stepwell_base::amount;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_base::visible::visible_line;
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, RunRow, StepRow};

use crate::problem::Problem;

/// Most characters of a value in a table.
const VALUE_CHARACTERS: usize = 160;

pub fn bytes(count: u64) -> String {
    amount::about(count)
}

/// The start of the last group of an id, which is random.
pub fn short_id(run: RunId) -> String {
    let text = run.to_string();
    text.rsplit('-').next().unwrap_or(&text).chars().take(8).collect()
}

/// The shortest text by which the command line finds a run: its name, if no newer run has it.
pub fn handle(reader: &Reader, run: &RunRow) -> String {
    match reader.resolve_run(&run.name) {
        Ok(found) if found == run.id => run.name.clone(),
        _ => run.id.to_string(),
    }
}

/// A command to paste.
pub fn command<'a>(verb: &str, about: impl IntoIterator<Item = &'a str>) -> String {
    shell::stepwell(verb, about).trim_matches('`').to_owned()
}

/// A text with at most so many characters.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}

/// A value on one line.
pub fn value_text(value: &Value) -> String {
    let text = match value {
        Value::Number(number) => number.as_f64().map_or_else(
            || number.to_string(),
            |value| match number.is_f64() {
                true => figure(value),
                false => number.to_string(),
            },
        ),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    cut(&visible_line(&text), VALUE_CHARACTERS)
}

/// A number with as many digits as people read.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value == 0.0 => "0".to_owned(),
        s if !s.is_finite() => value.to_string(),
        s if !(1e-3..1e9).contains(&s) => format!("{value:.3e}"),
        s if s >= 1000.0 => format!("{value:.0}"),
        s if s >= 1.0 => format!("{value:.4}"),
        _ => format!("{value:.5}"),
    }
}

/// Percent done of the running attempt or of the items.
pub fn share(step: &StepRow) -> Option<u64> {
    if let Some(children) = step.children {
        return (100 * (children.done + children.failed)).checked_div(children.total);
    }
    let mark = step.progress.filter(|mark| mark.total > 0 && step.status == StepStatus::Running)?;
    Some(100 * mark.done.min(mark.total) / mark.total)
}

/// Lines such as `lr=1e-3` as parameters, in the words that `-S` takes.
///
/// # Errors
/// Names a line without `=`.
pub fn parameters(lines: &str) -> Result<Map<String, Value>, Problem> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), Value::String(value.trim().to_owned())))
            }
            _ => Err(Problem::usage(format!("`{}` is not NAME=VALUE", cut(line, 80)))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_harmless() {
        let values = [serde_json::json!(2.345_678), serde_json::json!(12), serde_json::json!("a\u{1b}[2Jb\nc")];
        assert_eq!(values.map(|value| value_text(&value)), ["2.3457", "12", "a\\x1b[2Jb\\nc"]);
        assert_eq!([1e-5, 0.25, 1234.5, 2e12].map(figure), ["1.000e-5", "0.25000", "1234", "2.000e12"]);
    }

    #[test]
    fn parameters_are_lines() {
        let found = parameters("lr = 1e-3\n\nname=a=b\n").unwrap();
        assert_eq!(Value::Object(found), serde_json::json!({ "lr": "1e-3", "name": "a=b" }));
        assert!(parameters("lr").is_err());
    }
}
