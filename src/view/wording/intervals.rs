//! Numbers with intervals, in values that are tables of tables: the tasks of an evaluation, the differences of a comparison.

use serde_json::{Map, Value};

use stepwell_base::visible::visible_line;

/// Most lines: a task may have a thousand groups.
const MOST_LINES: usize = 40;

/// A line for each number of each table that has an interval, named by its path without the value's own name.
pub fn interval_lines(values: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for table in values.values().filter_map(Value::as_object) {
        for (task, numbers) in table.iter().filter_map(|(task, numbers)| Some((task, numbers.as_object()?))) {
            for (name, value) in numbers {
                let label = format!("{task} {}", name.replace('_', " "));
                lines.extend(measured(numbers, name, value).or_else(|| compared(value)).map(|text| row(&label, &text)));
            }
        }
    }
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        lines.truncate(MOST_LINES);
        lines.push(format!("  and {more} more"));
    }
    lines
}

fn row(label: &str, text: &str) -> String {
    format!("  {:<34} {text}", visible_line(label))
}

/// `x` beside `x_low` and `x_high`.
fn measured(numbers: &Map<String, Value>, name: &str, value: &Value) -> Option<String> {
    let end = |end: &str| numbers.get(&format!("{name}_{end}"))?.as_f64();
    Some(format!("{:<12.4} {:.4} to {:.4}", value.as_f64()?, end("low")?, end("high")?))
}

/// A difference with its interval and its adjusted p.
fn compared(value: &Value) -> Option<String> {
    let number = |name: &str| value.get(name)?.as_f64();
    Some(format!(
        "{:<+12.4} {:+.4} to {:+.4}, adjusted p {:.2e}",
        number("difference")?,
        number("low")?,
        number("high")?,
        number("p_adjusted")?
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_with_intervals_are_lines_and_others_are_not() {
        let values = json!({
            "loss": 2.0,
            "tasks": {
                "cloze": { "acc": 0.5, "acc_low": 0.25, "acc_high": 0.75, "items": 8, "trigram": { "acc": 0.25 } },
                "generation": { "distinct_1": 0.5 },
            },
            "samples": ["a"],
        });
        let Value::Object(values) = values else { unreachable!() };
        assert_eq!(interval_lines(&values), [format!("  {:<34} {:<12} 0.2500 to 0.7500", "cloze acc", "0.5000")]);
    }

    #[test]
    fn differences_are_lines_with_their_p() {
        let acc =
            json!({ "first": 0.5, "difference": 0.25, "low": 0.125, "high": 0.375, "p": 0.001, "p_adjusted": 0.002 });
        let Value::Object(values) = json!({ "tasks": { "cloze": { "acc": acc } } }) else { unreachable!() };
        let expected = format!("  {:<34} {:<12} +0.1250 to +0.3750, adjusted p 2.00e-3", "cloze acc", "+0.2500");
        assert_eq!(interval_lines(&values), [expected]);
    }

    #[test]
    fn a_thousand_lines_are_cut() {
        let numbers = json!({ "acc": 0.5, "acc_low": 0.25, "acc_high": 0.75 });
        let tasks: Map<String, Value> = (0..1000).map(|n| (format!("t{n}"), numbers.clone())).collect();
        let lines = interval_lines(&Map::from_iter([("tasks".to_owned(), Value::Object(tasks))]));
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (MOST_LINES + 1, "  and 960 more"));
    }
}
