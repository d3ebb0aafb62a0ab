//! Flags that are about a step, an item or a param of a run, answered with words of that run.

use clap::Command;

use super::state::{State, run_of, step_with};
use stepwell_base::shell::{quote, stepwell};
use stepwell_store::Reader;

/// Larger fan-outs are not searched.
const MOST_ITEMS: u64 = 100;

/// Answers a flag by what the run has. `words` are all words behind the verbs in `path`.
pub fn flag(command: &Command, path: &[&str], name: &str, words: &[&str], state: &State) -> Option<String> {
    let [verb] = path else { return None };
    let has_step = command.get_positionals().any(|argument| argument.get_id() == "step");
    match name {
        "S" | "set" | "param" | "params" if matches!(*verb, "resume" | "retry") => Some(other_params(words, state)),
        "filter" | "where" if *verb == "list" => Some(filter(words)),
        "run" | "run-id" | "id" | "run-name"
            if command.get_positionals().any(|argument| is_run(argument.get_id().as_str())) =>
        {
            Some(format!("name the run without a flag: {}", stepwell(verb, [value_of(name, words).unwrap_or("RUN")])))
        }
        "step" | "task" | "job" | "s" if has_step => {
            let step = value_of(name, words).unwrap_or("STEP");
            Some(format!("the step is the second word: {}", stepwell(verb, [&*run_in(words, state), step])))
        }
        _ if has_step && !name.starts_with(['-', '=']) => item(verb, name, words, state),
        _ => None,
    }
}

fn is_run(id: &str) -> bool {
    matches!(id, "run" | "runs")
}

/// The value behind a flag of this name, in either form.
fn value_of<'a>(name: &str, words: &[&'a str]) -> Option<&'a str> {
    let is_flag = |word: &str| word.trim_start_matches('-') == name && word.starts_with('-');
    let at = words.iter().position(|word| is_flag(word) || word.split('=').next().is_some_and(is_flag))?;
    match words[at].split_once('=') {
        Some((_, value)) => Some(value),
        None => words.get(at + 1).copied().filter(|next| !next.starts_with('-')),
    }
}

/// The run that the words name; `RUN` if there is none.
fn run_in(words: &[&str], state: &State) -> String {
    let known = state.reader().and_then(|reader| run_of(&reader, words));
    let first = words.first().filter(|word| !word.starts_with('-'));
    first.map(|word| (*word).to_owned()).or(known.map(|(_, name)| name)).unwrap_or_else(|| "RUN".to_owned())
}

/// Answers params for a run that has its own.
fn other_params(words: &[&str], state: &State) -> String {
    let assigned: Vec<&str> =
        words.iter().copied().filter(|word| word.contains('=') && !word.starts_with('-')).collect();
    let known = state.reader().and_then(|reader| {
        let (run, name) = run_of(&reader, words)?;
        let param = assigned.first()?.split(['=', '.']).next()?;
        let step = reader.spec(run).ok().and_then(|spec| step_with(&spec, param));
        Some((name, step.map_or_else(|| "STEP".to_owned(), |step| step.to_string())))
    });
    let (run, step) = known.unwrap_or_else(|| (run_in(words, state), "STEP".to_owned()));
    let options = match assigned.as_slice() {
        [] => "-S NAME=VALUE".to_owned(),
        assigned => assigned.iter().map(|one| format!("-S {}", quote(one))).collect::<Vec<_>>().join(" "),
    };
    format!(
        "a run keeps its params; a new run can have others: `stepwell fork {} --at {} {options}`",
        quote(&run),
        quote(&step)
    )
}

/// Answers `--filter status=failed`.
fn filter(words: &[&str]) -> String {
    let value = value_of("filter", words).or_else(|| value_of("where", words)).unwrap_or_default();
    let (key, wanted) = value.split_once('=').unwrap_or((value, ""));
    let wanted = wanted.trim_matches(['=', '"', '\'']);
    let is_of_workflow = ["workflow", "name"].contains(&key);
    match (key, wanted.is_empty()) {
        _ if is_of_workflow && !wanted.is_empty() => {
            format!("`--workflow` chooses runs by their workflow: {}", list("--workflow", wanted))
        }
        ("status" | "state", false) => format!("`--status` chooses runs by their status: {}", list("--status", wanted)),
        ("tag" | "tags" | "label", false) => format!("`--tag` chooses runs by a tag: {}", list("--tag", wanted)),
        _ => "`--status failed`, `--workflow NAME`, `--tag TAG` and `--kept` choose runs".to_owned(),
    }
}

fn list(flag: &str, value: &str) -> String {
    stepwell(&format!("list {flag} {}", quote(value)), [])
}

/// Answers `--seed 3` with the item that has it, if the run has a fan-out.
fn item(verb: &str, name: &str, words: &[&str], state: &State) -> Option<String> {
    let reader: Reader = state.reader()?;
    let (run, handle) = run_of(&reader, words)?;
    let spec = reader.spec(run).ok()?;
    let fan_out = spec.steps.iter().find(|step| step.for_each.is_some())?;
    let value = value_of(name, words)?;
    let rows = reader.overview(run, MOST_ITEMS).ok()?;
    let mut items = rows.iter().filter(|row| row.parent.as_ref() == Some(&fan_out.id));
    let step = items.find_map(|row| match row.item.as_ref()? {
        serde_json::Value::Object(fields) if fields.contains_key(name) => {
            Some(format!("{}[{name}={value}]", fan_out.id))
        }
        // A number in brackets is a position.
        item if item.to_string().trim_matches('"') == value => Some(row.id.to_string()),
        _ => None,
    })?;
    Some(format!("an item is named with its step: {}", stepwell(verb, [&*handle, &*step])))
}
