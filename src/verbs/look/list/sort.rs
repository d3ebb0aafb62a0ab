//! Sorts runs by a value of a step, a parameter, or a property. Runs without it come last.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::error::CliError;
use crate::view::value_text::better;
use crate::view::work_time::{WorkClock, of_listed};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::suggest;
use stepwell_store::{Reader, RunParams, RunRow};
use stepwell_workflow::catalog::Better;

/// Larger fan-outs are no help in a hint.
const MOST_ITEMS: u64 = 20;

/// Newest runs whose values a hint lists.
const MOST_RUNS: usize = 5;

/// What runs are sorted by: a text, or a number or text per run.
pub(super) enum Key {
    Created,
    Name,
    Values { of: HashMap<RunId, Value>, best: Better },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    BestFirst,
    BestLast,
}

impl Key {
    /// Reads a key and what it means for each run.
    ///
    /// # Errors
    /// When no run has such a value or parameter; names some that exist.
    pub(super) fn find(reader: &Reader, key: &str, runs: &[RunRow]) -> Result<Key, CliError> {
        match key {
            "created" => return Ok(Key::Created),
            "name" => return Ok(Key::Name),
            "time" => {
                let clock = WorkClock::new(reader, None);
                let mut of = HashMap::new();
                for run in runs {
                    let work = of_listed(reader, run, &clock)?;
                    of.extend(work.map(|work| (run.id, Value::from(work.as_secs_f64()))));
                }
                return Ok(Key::Values { of, best: Better::Higher });
            }
            _ => {}
        }
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        if let Some((step, value)) = key.split_once('.').filter(|(step, _)| *step != "params") {
            let found = reader.values_of(&ids, &StepId::from(step), value)?;
            if !found.is_empty() {
                let direction = found.iter().find_map(|(_, kind, _)| better(kind, value)).unwrap_or(Better::Lower);
                return Ok(Key::Values { of: best_of_each(found, direction), best: direction });
            }
        }
        let params = reader.params_of(&ids)?;
        let of = |(run, params): (&RunId, &RunParams)| Some((*run, params.at(key)?.clone()));
        let of: HashMap<RunId, Value> = params.iter().filter_map(of).collect();
        if of.is_empty() && !runs.is_empty() {
            let values = known_values(reader, runs);
            return match with_step("--sort", key, &values)? {
                None => Err(unknown(key, values, runs, &params)),
                Some(one) => Key::find(reader, one, runs),
            };
        }
        Ok(Key::Values { of, best: Better::Lower })
    }

    fn value(&self, run: &RunRow) -> Option<Value> {
        match self {
            Key::Created => Some(json!(run.created_at)),
            Key::Name => Some(json!(run.name)),
            Key::Values { of, .. } => of.get(&run.id).cloned(),
        }
    }

    fn best(&self) -> Better {
        match self {
            Key::Created => Better::Higher,
            Key::Name => Better::Lower,
            Key::Values { best, .. } => *best,
        }
    }
}

/// The value as STEP.VALUE, if only one step has it; `None` if none has.
fn with_step<'a>(flag: &str, value: &str, known: &'a [String]) -> Result<Option<&'a str>, CliError> {
    let of_steps: Vec<&str> =
        known.iter().filter(|known| known.rsplit('.').next() == Some(value)).map(String::as_str).collect();
    match of_steps.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        many => Err(CliError::usage(format!("several steps have a value `{value}`"))
            .hint(format!("name one: `{flag} {}`", many.join(&format!("`, `{flag} "))))),
    }
}

/// Adds the step to a value that is named without one, if only one step of the newest runs has it.
///
/// # Errors
/// When several steps have it.
pub fn full_value_name(reader: &Reader, flag: &str, value: &str) -> Result<String, CliError> {
    if value.contains('.') {
        return Ok(value.to_owned());
    }
    let known = known_values(reader, &reader.ended_runs(MOST_RUNS)?.readable);
    Ok(with_step(flag, value, &known)?.unwrap_or(value).to_owned())
}

/// For a fan-out, the best value of its items.
fn best_of_each(found: Vec<(RunId, String, Value)>, direction: Better) -> HashMap<RunId, Value> {
    let mut best: HashMap<RunId, Value> = HashMap::new();
    for (run, _, value) in found {
        match best.get(&run) {
            Some(known) if compare(known, &value, direction) != Ordering::Greater => {}
            _ => {
                best.insert(run, value);
            }
        }
    }
    best
}

/// Sorts by the key, equal runs by age; a stable order for equal values.
pub(super) fn sorted(key: &Key, runs: Vec<RunRow>, direction: Direction) -> Vec<(RunRow, Option<Value>)> {
    let with_value = |run: RunRow| {
        let value = key.value(&run);
        (run, value)
    };
    let mut rows: Vec<(RunRow, Option<Value>)> = runs.into_iter().map(with_value).collect();
    rows.sort_by(|(_, one), (_, other)| match (one, other) {
        (Some(one), Some(other)) => {
            let order = compare(one, other, key.best());
            if direction == Direction::BestFirst { order } else { order.reverse() }
        }
        (one, other) => other.is_some().cmp(&one.is_some()),
    });
    rows
}

/// Compares numbers as such and before all else, and the rest by its text.
fn compare(one: &Value, other: &Value, best: Better) -> Ordering {
    let order = match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        (Some(_), None) => return Ordering::Less,
        (None, Some(_)) => return Ordering::Greater,
        (None, None) => text(one).cmp(&text(other)),
    };
    match best {
        Better::Lower => order,
        Better::Higher => order.reverse(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The numbers that steps of the newest runs gave, such as `eval.perplexity`.
fn known_values(reader: &Reader, runs: &[RunRow]) -> Vec<String> {
    let mut known = Vec::new();
    for run in newest(runs) {
        for step in reader.overview(run.id, MOST_ITEMS).unwrap_or_default() {
            let whole = step.parent.as_ref().unwrap_or(&step.id);
            let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
            known.extend(values.filter(|(_, value)| value.is_number()).map(|(name, _)| format!("{whole}.{name}")));
        }
    }
    let mut seen = BTreeSet::new();
    known.retain(|name| seen.insert(name.clone()));
    known
}

fn newest(runs: &[RunRow]) -> Vec<&RunRow> {
    let mut newest: Vec<&RunRow> = runs.iter().collect();
    newest.sort_by_key(|run| Reverse(run.id));
    newest.truncate(MOST_RUNS);
    newest
}

fn unknown(key: &str, values: Vec<String>, runs: &[RunRow], params: &HashMap<RunId, RunParams>) -> CliError {
    let mut known: Vec<String> = vec!["created".to_owned(), "time".to_owned(), "name".to_owned()];
    known.extend(values);
    let newest = newest(runs);
    known.extend(
        newest.first().and_then(|run| params.get(&run.id)).into_iter().flat_map(|of| of.params.keys().cloned()),
    );
    let mut seen = BTreeSet::new();
    known.retain(|name| seen.insert(name.clone()));
    CliError::usage(format!("no run has a value or a parameter `{key}` to sort by")).hint(suggest::hint(
        key,
        "keys",
        known.iter().map(String::as_str),
    ))
}
