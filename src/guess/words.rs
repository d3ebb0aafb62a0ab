//! Words and values that do not fit a verb, answered with the command that was meant.

use std::path::Path;

use super::state::{State, run_of};
use crate::drive::mistakes::{Shape, from_script, shape_of};
use crate::drive::workflow_source::find;
use crate::verbs::look::artifact::find_output;
use stepwell_base::shell::{quote, stepwell};
use stepwell_store::Reader;

/// Answers a word that is one too many. `words` are all words behind the verb.
pub fn extra_word(path: &[&str], extra: &str, words: &[&str], state: &State) -> Option<String> {
    let plain = plain_words(words);
    let first = plain.first().copied()?;
    let run = quote(first);
    match path {
        ["fork"] => Some(format!("`--at` says where: `stepwell fork {run} --at {}`", quote(extra))),
        ["rerun"] => Some(format!("`--from-step` says where: `stepwell rerun {run} --from-step {}`", quote(extra))),
        ["artifact", verb @ ("get" | "show" | "provenance")] => Some(artifact(verb, &plain, state)),
        ["schedule", "add"] => schedule(words),
        ["note"] => {
            let text = plain[1..].join(" ");
            Some(format!("put the text into quotes: {}", stepwell("note", [first, &*text])))
        }
        ["generate"] => Some(format!("`-p` gives the text to continue: `stepwell generate {run} -p {}`", quote(extra))),
        ["cancel" | "pause" | "resume" | "watch" | "checkpoints" | "samples" | "explain" | "retry"] => {
            let each: Vec<String> = plain.iter().take(3).map(|run| stepwell(path[0], [*run])).collect();
            Some(format!("one run at a time: {}", each.join(", ")))
        }
        ["logs" | "show"] => {
            let each: Vec<String> =
                plain.iter().skip(1).take(3).map(|step| stepwell(path[0], [first, *step])).collect();
            Some(format!("one step at a time: {}", each.join(", ")))
        }
        ["list"] => Some(format!(
            "{} shows one run; `--status`, `--workflow` and `--tag` choose runs",
            stepwell("show", [extra])
        )),
        ["run"] if shape_of(Path::new(extra)) == Shape::Script && Path::new(extra).is_file() => {
            Some(from_script(extra))
        }
        ["run"] => {
            Some(format!("one workflow at a time: {}; params are set with `-S NAME=VALUE`", stepwell("run", [first])))
        }
        ["worker" | "serve" | "gc" | "doctor"] => Some(format!("{} runs a workflow", stepwell("run", [extra]))),
        _ => None,
    }
}

/// Answers `fork RUN` without a place, and `fork RUN@PLACE`.
pub fn fork(words: &[&str], state: &State) -> Option<String> {
    let first = *plain_words(words).first()?;
    let rest: Vec<String> = words.iter().filter(|word| **word != first).map(quote).collect();
    let rest = if rest.is_empty() { String::new() } else { format!(" {}", rest.join(" ")) };
    if let Some((run, at)) = first.split_once('@').or_else(|| first.split_once([':', '/'])) {
        let at = at.replace(['@', '/'], ":");
        return Some(format!("`--at` says where: `stepwell fork {} --at {}{rest}`", quote(run), quote(at)));
    }
    let known = state.reader().and_then(|reader| {
        let (run, name) = run_of(&reader, &[first])?;
        let steps: Vec<String> = reader.spec(run).ok()?.steps.into_iter().map(|step| step.id.to_string()).collect();
        Some((name, steps))
    });
    let (run, steps) = known.unwrap_or_else(|| (first.to_owned(), Vec::new()));
    let list = stepwell("checkpoints", [&*run]);
    Some(match steps.last() {
        Some(step) if steps.len() <= MOST_STEPS => format!(
            "`--at` says where: `stepwell fork {} --at {}{rest}`, or another step of {}; {list} lists the checkpoints",
            quote(&run),
            quote(step),
            steps.join(", ")
        ),
        _ => format!("`--at STEP` or `--at STEP:TRAIN_STEP` says where; {list} lists the checkpoints"),
    })
}

/// Most steps that an answer names.
const MOST_STEPS: usize = 12;

/// The words that are no options. The value of an option may be among them.
fn plain_words<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().take_while(|word| **word != "--").copied().filter(|word| !word.starts_with('-')).collect()
}

/// Joins RUN, STEP and NAME, which are one word, and keeps a destination.
fn artifact(verb: &str, words: &[&str], state: &State) -> String {
    let command = |name: &str, rest: &[&str]| {
        let about = std::iter::once(name).chain(rest.first().copied().filter(|_| verb == "get"));
        format!("RUN/STEP/NAME is one word: {}", stepwell(&format!("artifact {verb}"), about))
    };
    let reader = state.reader();
    let exists = |name: &str| reader.as_ref().is_some_and(|reader: &Reader| find_output(reader, name).is_ok());
    for count in (1..=words.len().min(3)).rev() {
        let (name, rest) = words.split_at(count);
        let name = name.join("/");
        if exists(&name) {
            return command(&name, rest);
        }
    }
    let parts = |word: &str| word.split(['/', '.']).filter(|part| !matches!(*part, "" | "outputs")).count();
    // `last best.model` has all three parts in two words, `last best model` in three.
    let joined = if words.get(1).is_some_and(|second| parts(second) > 1) { 2 } else { 3 };
    let (name, rest) = words.split_at(joined.min(words.len()));
    command(&name.join("/"), rest)
}

/// Answers a cron expression without its `--cron`, or without a name for the schedule.
pub fn schedule(words: &[&str]) -> Option<String> {
    let plain = plain_words(words);
    let cron = plain.iter().copied().find(|word| is_cron(word))?;
    let others: Vec<&str> = plain.iter().copied().filter(|word| !is_cron(word)).collect();
    let (name, workflow) = match others.as_slice() {
        [only] => match is_workflow(only).then(|| Path::new(only).file_stem()?.to_str()).flatten() {
            Some(stem) => (stem, *only),
            None => (*only, "WORKFLOW"),
        },
        [workflow, name, ..] if is_workflow(workflow) && !is_workflow(name) => (*name, *workflow),
        [name, workflow, ..] => (*name, *workflow),
        [] => ("NAME", "WORKFLOW"),
    };
    let name = quote(name);
    Some(format!("`--cron` says when: `stepwell schedule add {name} --cron {} {}`", quote(cron), quote(workflow)))
}

fn is_workflow(word: &str) -> bool {
    word.ends_with(".toml") || find(word).is_ok()
}

/// True for five or six fields of digits and the signs of cron.
fn is_cron(word: &str) -> bool {
    let is_field = |field: &str| {
        field.starts_with(|first: char| first.is_ascii_digit() || first == '*')
            || matches!(
                field.get(..3).map(str::to_ascii_uppercase).as_deref(),
                Some("MON" | "TUE" | "WED" | "THU" | "FRI" | "SAT" | "SUN")
            )
    };
    let fields: Vec<&str> = word.split_whitespace().collect();
    matches!(fields.len(), 5 | 6) && fields.into_iter().all(is_field)
}

/// Answers a form of output that does not exist.
pub fn output_form(path: &[&str], form: &str, words: &[&str]) -> Option<String> {
    let form = form.to_lowercase();
    match (&*form, path) {
        ("csv" | "tsv", ["metrics"]) => {
            let runs = plain_words(words).into_iter().filter(|word| word.to_lowercase() != form);
            let about: Vec<String> = runs.map(quote).collect();
            let arguments = about.into_iter().chain(["--csv".to_owned()]).collect::<Vec<_>>().join(" ");
            Some(format!("`--csv` prints CSV: `stepwell metrics {arguments}`"))
        }
        ("csv" | "tsv", _) => Some(
            "`stepwell metrics RUN --csv` prints metrics as CSV; `--output json` prints everything else".to_owned(),
        ),
        ("jsonl" | "ndjson" | "jsonlines" | "yaml" | "yml" | "toml" | "xml" | "wide", _) => {
            Some("`--output json` is the form for scripts".to_owned())
        }
        ("text" | "txt" | "plain" | "table" | "pretty" | "tty" | "terminal", _) => {
            Some("`--output human` is text for people, and the default".to_owned())
        }
        ("svg" | "png" | "pdf", ["workflow", "graph"]) => {
            Some("Graphviz draws it: `stepwell workflow graph FILE | dot -Tsvg > graph.svg`".to_owned())
        }
        _ if form.contains("{{") => Some("`--output json` is the form for scripts, and `jq` picks from it".to_owned()),
        _ if form.contains(['/', '.']) => {
            Some("`--output` is the form of what is printed; write it to a file with `> FILE`".to_owned())
        }
        _ => None,
    }
}
