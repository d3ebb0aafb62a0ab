//! Collects what is compared: one cell per run for each parameter, value and metric.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::view::origin::origin;
use crate::view::value_text::{better, cut, leaves};
use crate::view::work_time::{WorkClock, of_listed};
use stepwell_base::ids::RunId;
use stepwell_run::item::item_name;
use stepwell_store::{Reader, RunParams, RunRow, StepRow};
use stepwell_workflow::catalog::Better;

/// Items of larger fan-outs are not compared.
const MOST_ITEMS: u64 = 20;
/// Most characters of an item.
const ITEM_CHARACTERS: usize = 24;

pub(in crate::verbs::look) struct Compared {
    pub(in crate::verbs::look) runs: Vec<Side>,
    pub(in crate::verbs::look) values: Vec<Figure>,
    /// The last row of the metrics of each step that trains.
    pub(in crate::verbs::look) metrics: Vec<Figure>,
}

/// One of the compared runs.
pub(in crate::verbs::look) struct Side {
    pub(in crate::verbs::look) run: RunRow,
    pub(in crate::verbs::look) origin: Option<String>,
    /// The work of its steps.
    pub(in crate::verbs::look) time: Option<SignedDuration>,
    /// From its start to its end.
    pub(in crate::verbs::look) elapsed: Option<SignedDuration>,
    pub(in crate::verbs::look) params: RunParams,
}

/// One value in all runs.
#[derive(PartialEq, Debug)]
pub(in crate::verbs::look) struct Figure {
    pub(in crate::verbs::look) step: String,
    pub(in crate::verbs::look) name: String,
    pub(in crate::verbs::look) better: Option<Better>,
    /// Null for a run that lacks it.
    pub(in crate::verbs::look) values: Vec<Value>,
}

pub(in crate::verbs::look) fn collect(reader: &Reader, ids: &[RunId]) -> Result<Compared, CliError> {
    let clock = WorkClock::new(reader, None);
    let mut params = reader.params_of(ids)?;
    let mut compared = Compared { runs: Vec::new(), values: Vec::new(), metrics: Vec::new() };
    for (index, id) in ids.iter().enumerate() {
        let run = reader.run(*id)?;
        for step in reader.overview(*id, MOST_ITEMS)? {
            let label = label(&step);
            for (name, value) in step.outputs.iter().flat_map(|outputs| &outputs.values) {
                let cell = Cell { step: &label, name, better: better(&step.kind, name), run: index, runs: ids.len() };
                cell.set(&mut compared.values, value.clone());
            }
            if step.attempts == 0 {
                continue;
            }
            let Some(row) = reader.newest_metric(*id, &step.id)? else { continue };
            for (name, value, better) in [
                ("step", json!(row.train_step), None),
                ("loss", json!(row.loss), Some(Better::Lower)),
                ("tokens", json!(row.tokens_so_far), None),
                ("tokens_per_second", json!(row.tokens_per_second), None),
            ] {
                let cell = Cell { step: &label, name, better, run: index, runs: ids.len() };
                cell.set(&mut compared.metrics, value);
            }
        }
        let time = of_listed(reader, &run, &clock)?;
        let elapsed = clock.of_run(&run, &[]);
        let params = params.remove(id).unwrap_or_default();
        compared.runs.push(Side { origin: origin(reader, &run), run, time, elapsed, params });
    }
    Ok(compared)
}

/// Items have the same name in all runs, wherever they stand in their lists.
fn label(step: &StepRow) -> String {
    match (&step.parent, &step.item) {
        // A number alone would look like a position.
        (Some(parent), Some(item)) if item.is_number() => format!("{parent}[item={item}]"),
        (Some(parent), Some(item)) => format!("{parent}[{}]", cut(&item_name(item), ITEM_CHARACTERS)),
        _ => step.id.to_string(),
    }
}

/// The place of a value.
struct Cell<'a> {
    step: &'a str,
    name: &'a str,
    better: Option<Better>,
    run: usize,
    runs: usize,
}

impl Cell<'_> {
    fn set(&self, figures: &mut Vec<Figure>, value: Value) {
        let known = figures.iter().position(|figure| figure.step == self.step && figure.name == self.name);
        let at = known.unwrap_or_else(|| {
            let (step, name) = (self.step.to_owned(), self.name.to_owned());
            figures.push(Figure { step, name, better: self.better, values: vec![Value::Null; self.runs] });
            figures.len() - 1
        });
        if let Some(cell) = figures.get_mut(at).and_then(|figure| figure.values.get_mut(self.run)) {
            *cell = value;
        }
    }
}

impl Compared {
    /// All parameters by path, with the value of each run; `None` for a run without it.
    pub(in crate::verbs::look) fn params(&self) -> Vec<(String, Vec<Option<Value>>)> {
        let sides: Vec<Vec<(String, Value)>> = self
            .runs
            .iter()
            .map(|side| {
                let mut found = Vec::new();
                leaves("", &side.params.params, &mut found);
                found
            })
            .collect();
        let mut names: Vec<&String> = Vec::new();
        for (name, _) in sides.iter().flatten() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let value = |side: &Vec<(String, Value)>, name: &str| {
            side.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let of_each = |name: &String| sides.iter().map(|side| value(side, name)).collect();
        names.into_iter().map(|name| (name.clone(), of_each(name))).collect()
    }

    /// The parameters that are not equal in all runs.
    pub(in crate::verbs::look) fn differing_params(&self) -> Vec<(String, Vec<Option<Value>>)> {
        let mut params = self.params();
        params.retain(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]));
        params
    }
}

impl Figure {
    /// False for what no run has, and for a count of nothing, such as the tokens of a program that counts none.
    pub(in crate::verbs::look) fn says_something(&self) -> bool {
        self.values.iter().filter_map(Value::as_f64).any(|value| value != 0.0 || self.better.is_some())
    }

    pub(in crate::verbs::look) fn is_named_like(&self, other: &Figure) -> bool {
        (&self.step, &self.name) == (&other.step, &other.name)
    }

    pub(in crate::verbs::look) fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }

    /// True for the best value of several that differ.
    pub(in crate::verbs::look) fn is_best(&self, run: usize) -> bool {
        let (Some(better), Some(own)) = (self.better, self.values.get(run).and_then(Value::as_f64)) else {
            return false;
        };
        self.differs() && !self.values.iter().filter_map(Value::as_f64).any(|other| better.is_better(other, own))
    }
}
