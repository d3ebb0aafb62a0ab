//! Series for scripts: CSV with a header, and JSON.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::report::Curve;
use super::table::{Series, rank};
use crate::view::output::SCHEMA;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::Measurement;

/// Lines of a CSV text that are passed on together.
const PART: usize = 10_000;

/// The columns of a CSV text: those of every row, then all names of all series.
#[derive(Default)]
pub struct Columns {
    names: BTreeSet<(usize, String)>,
}

impl Columns {
    pub fn add(&mut self, series: &Series) {
        self.names.extend(series.names().into_iter().map(rank));
    }

    pub fn header(&self) -> String {
        let names: String = self.names.iter().map(|(_, name)| format!(",{}", cell(name))).collect();
        format!("run,name,step,train_step{names}")
    }

    /// Passes the rows of a curve to `print`, some lines at a time. A cell is empty where a row lacks a name.
    pub fn rows<E>(&self, curve: &Curve, mut print: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let start = format!("{},{},{}", curve.run, cell(&curve.legend.run), cell(&curve.legend.step));
        let mut lines: Vec<String> = Vec::new();
        for row in 0..curve.series.rows() {
            let mut line = format!("{start},{}", curve.series.step(row));
            for (_, name) in &self.names {
                line.push(',');
                line.extend(curve.series.value(name, row).map(exactly));
            }
            lines.push(line);
            if lines.len() == PART {
                print(&lines.join("\n"))?;
                lines.clear();
            }
        }
        if lines.is_empty() { Ok(()) } else { print(&lines.join("\n")) }
    }
}

/// A number that is read back with the same bits.
fn exactly(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { value.to_string() }
}

/// Quotes a text if it needs it.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// One element of `series` in the document of `stepwell metrics --json`.
pub fn json(curve: &Curve) -> Value {
    let parts = curve.lineage.parts.iter();
    let parts: Vec<Value> =
        parts.map(|part| json!({ "run": part.run, "step": part.step, "up_to": part.up_to })).collect();
    let (series, names) = (&curve.series, curve.series.names());
    let summaries: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), summary(series, name))).collect();
    let row = |row| {
        let values = names.iter().filter_map(|name| Some((*name, series.value(name, row)?)));
        fields(series.step(row), values)
    };
    json!({
        "run": { "id": curve.run, "name": curve.legend.run },
        "step": curve.legend.step,
        "item": curve.legend.item,
        "parts": parts,
        "names": names,
        "summary": summaries,
        "rows": (0..series.rows()).map(row).collect::<Vec<_>>(),
    })
}

fn summary(series: &Series, name: &str) -> Value {
    let Some(summary) = series.summary(name) else { return Value::Null };
    let (minimum, at) = summary.minimum.unzip();
    json!({
        "rows": summary.rows, "first": summary.first, "last": summary.last, "minimum": minimum, "minimum_at": at,
        "not_numbers": summary.not_numbers.map_or(0, |(count, _)| count),
    })
}

/// Numbers by name; a whole number has no fraction, and what is no number is null.
fn fields<'a>(train_step: u64, values: impl Iterator<Item = (&'a str, f64)>) -> Value {
    let mut fields = Map::from_iter([("train_step".to_owned(), json!(train_step))]);
    fields.extend(values.map(|(name, value)| (name.to_owned(), exact(name, value))));
    Value::Object(fields)
}

/// Counts are whole numbers, as in the rows of a live run.
fn exact(name: &str, value: f64) -> Value {
    match name {
        "tokens_so_far" if value.fract() == 0.0 && (0.0..9e15).contains(&value) => json!(value as u64),
        _ => json!(value),
    }
}

/// A row as `run`, `watch` and `resume` print it.
pub fn json_line(run: RunId, step: &StepId, row: &Measurement) -> Value {
    let values = row.values.iter().map(|(name, value)| (name.as_str(), *value));
    json!({ "schema": SCHEMA, "type": "metric", "run": run, "step": step, "metric": fields(row.train_step, values) })
}

#[cfg(test)]
mod tests {
    use super::super::legend::Legend;
    use super::super::lineage::Lineage;
    use super::*;

    fn curve() -> Curve {
        let mut series = Series::default();
        let row = |train_step, values: &[(&str, f64)]| Measurement {
            train_step,
            values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        };
        series.push(row(1, &[("loss", 0.1), ("tokens_so_far", 512.0), ("a,b", 1e-9)]));
        series.push(row(2, &[("loss", f64::NAN)]));
        let legend = Legend {
            run: "one, two".to_owned(),
            step: "train".to_owned(),
            item: None,
            params: Map::new(),
            origin: None,
        };
        Curve { run: RunId(uuid::Uuid::nil()), legend, lineage: Lineage::default(), series }
    }

    #[test]
    fn csv_has_a_header_and_keeps_every_bit() {
        let (curve, mut columns, mut text) = (curve(), Columns::default(), String::new());
        columns.add(&curve.series);
        text.push_str(&columns.header());
        let print = |part: &str| {
            text.push_str(&format!("\n{part}"));
            Ok::<_, ()>(())
        };
        columns.rows(&curve, print).unwrap();
        let id = uuid::Uuid::nil();
        assert_eq!(
            text,
            format!(
                "run,name,step,train_step,loss,\"a,b\",tokens_so_far\n\
                 {id},\"one, two\",train,1,0.1,0.000000001,512\n{id},\"one, two\",train,2,NaN,,"
            )
        );
    }

    #[test]
    fn json_has_rows_and_summaries() {
        let value = json(&curve());
        assert_eq!(value["rows"][0], json!({"train_step": 1, "loss": 0.1, "a,b": 1e-9, "tokens_so_far": 512}));
        assert_eq!(value["rows"][1], json!({"train_step": 2, "loss": null}));
        let loss = json!({"rows": 2, "first": 0.1, "last": null, "minimum": 0.1, "minimum_at": 1, "not_numbers": 1});
        assert_eq!(value["summary"]["loss"], loss);
    }
}
