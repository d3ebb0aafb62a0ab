//! Values that are lists of records, such as what a cleaning dropped: each is a table of its own.

use serde_json::{Map, Value};

use super::one_step::bounded;
use crate::view::value_text::{cut, short, text};
use stepwell_store::StepRow;

/// Most columns of a table.
const MOST_COLUMNS: usize = 8;
/// Most characters of a text in it.
const MOST_CHARACTERS: usize = 48;

/// The tables of a step's values.
pub(super) fn tables(step: &StepRow) -> String {
    let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
    values.filter_map(|(name, value)| table(name, value)).collect()
}

/// A list of records as a table; `None` for any other value. The first column, by which rows are known, has the name of
/// the value.
fn table(name: &str, value: &Value) -> Option<String> {
    let records: Vec<&Map<String, Value>> = value.as_array()?.iter().map(Value::as_object).collect::<Option<_>>()?;
    let mut columns: Vec<&str> = Vec::new();
    for key in records.iter().flat_map(|record| record.keys()) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    if records.is_empty() || columns.is_empty() || columns.len() > MOST_COLUMNS {
        return None;
    }
    columns.sort_by_key(|column| records.iter().any(|record| record.get(*column).is_some_and(Value::is_number)));
    let cell = |record: &Map<String, Value>, column: &str| match record.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(number @ Value::Number(_)) => text(number),
        Some(value) => cut(&short(value), MOST_CHARACTERS),
    };
    let rows = records.iter().map(|record| columns.iter().map(|column| cell(record, column)).collect()).collect();
    let mut header = columns.clone();
    header[0] = name;
    Some(bounded(&header, rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_records_are_tables_and_other_values_are_not() {
        let value = json!([
            { "documents": 10, "bytes": 1000, "what": "in" },
            { "documents": 2, "bytes": 90, "what": "too short", "limit": 5.5 },
        ]);
        let text = table("cleaning", &value).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(lines.contains(&vec!["CLEANING", "BYTES", "DOCUMENTS", "LIMIT"]), "{text}");
        assert!(lines.contains(&vec!["in", "1000", "10"]), "{text}");
        assert!(lines.contains(&vec!["too", "short", "90", "2", "5.5"]), "{text}");
        for value in [json!([]), json!([1]), json!("x"), json!({"a": 1}), json!([{}])] {
            assert_eq!(table("x", &value), None, "{value}");
        }
    }
}
