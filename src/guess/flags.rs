//! Flags that people try: most are params of the workflow, which `-S` sets.

use clap::Command;
use serde_json::{Map, Value};

use super::flag_table::{FLAGS, OF_VERBS};
use super::of_run;
use super::state::{State, run_of};
use crate::drive::mistakes::with_param;
use crate::drive::workflow_source::{corpus, find};
use stepwell_base::shell::{self, quote};
use stepwell_base::suggest;
use stepwell_workflow::parse::{self, Meant, is_usual, meant};

/// Answers a flag that the command lacks. `path` are the verbs, `words` the words behind them.
pub fn flag(command: &Command, path: &[&str], unknown: &str, words: &[&str], state: &State) -> Option<String> {
    let name = full_name(unknown, words);
    if let Some(answer) = of_run::flag(command, path, name, words, state) {
        return Some(answer);
    }
    let verb = path.join(" ");
    let dashed = name.replace('_', "-");
    let of_verb = OF_VERBS.iter().find(|(verbs, flags, _)| verbs.contains(&&*verb) && flags.contains(&&*dashed));
    if let Some((_, _, answer)) = of_verb {
        return Some((*answer).to_owned());
    }
    let sets_params = command.get_arguments().any(|argument| argument.get_id() == "set");
    let params = if sets_params { params(command, words, state) } else { Map::new() };
    if !params.contains_key(&name.replace('-', "_"))
        && let Some((_, answer)) = FLAGS.iter().find(|(flags, _)| flags.contains(&&*dashed))
    {
        return has_all(command, answer).then(|| (*answer).to_owned());
    }
    if sets_params { as_params(command, name, words, &params) } else { None }
}

/// The name of an unknown flag. Of `-lr`, clap reports `-l`.
fn full_name<'a>(unknown: &'a str, words: &[&'a str]) -> &'a str {
    let whole = words.iter().find(|word| word.starts_with(unknown) && long_flag(word).is_some());
    let name = whole.copied().and_then(long_flag).unwrap_or(unknown.trim_start_matches('-'));
    name.split('=').next().unwrap_or_default()
}

/// The text behind the dashes of `--lr` or `-lr`.
fn long_flag(word: &str) -> Option<&str> {
    let usual = |flag: &&str| flag.len() > 1 && is_usual(flag.split('=').next().unwrap_or_default());
    let long = word.strip_prefix("--").filter(|flag| !flag.is_empty());
    long.or_else(|| word.strip_prefix('-').filter(usual))
}

/// True if the command has every flag that an answer names.
fn has_all(command: &Command, answer: &str) -> bool {
    let named = answer.split('`').filter_map(|part| part.strip_prefix("--")?.split(' ').next());
    let global = ["output", "state-dir"];
    named.into_iter().all(|flag| global.contains(&flag) || flags(command).contains(&flag))
}

fn flags(command: &Command) -> Vec<&str> {
    command.get_arguments().filter_map(|argument| argument.get_long()).collect()
}

/// Answers with the options for all unknown flags, if `first` is among them.
fn as_params(command: &Command, first: &str, words: &[&str], params: &Map<String, Value>) -> Option<String> {
    let (known, mut answers) = (flags(command), Answers::default());
    for (index, word) in words.iter().enumerate() {
        let Some(flag) = long_flag(word) else { continue };
        let (name, given) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if name != first && known.contains(&name) {
            continue;
        }
        let is_value = |next: &&str| !next.starts_with('-') || next.parse::<f64>().is_ok();
        let value = given.or_else(|| words.get(index + 1).copied().filter(is_value));
        let exact = params.contains_key(&name.replace('-', "_")) || is_usual(name);
        if !exact && suggest::nearest(name, known.iter().copied()).is_some() {
            // Clap names the flag that is meant.
            continue;
        }
        match meant(params, name) {
            Some(found) => {
                answers.has_first |= name == first;
                answers.add(command, name, value, found);
            }
            None if name == first => {
                return Some(with_param(name).map_or_else(
                    || format!("params are set with `-S`, but there is no `{name}` either: {}", known_params(params)),
                    |other| other.hint(value),
                ));
            }
            None => {}
        }
    }
    answers.text()
}

fn known_params(params: &Map<String, Value>) -> String {
    suggest::hint("", "params", params.keys().map(String::as_str))
}

#[derive(Default)]
struct Answers<'a> {
    has_first: bool,
    remarks: Vec<&'static str>,
    texts: Vec<&'a str>,
    options: Vec<String>,
}

impl<'a> Answers<'a> {
    fn add(&mut self, command: &Command, name: &str, value: Option<&'a str>, Meant { param, remark }: Meant<'_>) {
        self.remarks.extend(remark);
        match (param, value) {
            ("corpus", Some(text)) if command.get_name() == "start-training" => self.texts.push(text),
            _ => self.options.push(option(param, name, value.filter(|_| remark.is_none()))),
        }
    }

    fn text(self) -> Option<String> {
        let mut parts: Vec<String> = self.remarks.into_iter().map(str::to_owned).collect();
        if !self.texts.is_empty() {
            parts.push(format!("name the text without a flag: {}", shell::stepwell("start-training", self.texts)));
        }
        if !self.options.is_empty() {
            parts.push(format!("a param is set with `-S`: `{}`", self.options.join(" ")));
        }
        self.has_first.then(|| parts.join("; "))
    }
}

fn option(param: &str, name: &str, value: Option<&str>) -> String {
    let is_index = |value: &str| value.parse::<u32>().is_ok();
    let value = match (param, name, value) {
        ("device", "gpu" | "gpus" | "cuda", value) if value.is_none_or(is_index) => "cuda",
        ("precision", "bf16" | "fp16" | "amp", _) => "bf16",
        (_, _, value) => value.unwrap_or("VALUE"),
    };
    format!("-S {}", quote(format!("{param}={value}")))
}

/// The params of the workflow or the earlier run that the words name; those of a training if they name none.
pub(super) fn params(command: &Command, words: &[&str], state: &State) -> Map<String, Value> {
    if matches!(command.get_name(), "fork" | "rerun")
        && let Some(reader) = state.reader()
        && let Some((run, _)) = run_of(&reader, words)
        && let Ok(spec) = reader.spec(run)
    {
        return spec.params;
    }
    let mut names = words.iter().filter(|word| !word.starts_with('-'));
    let named = names.clone().find(|word| find(word).is_ok()).copied();
    let is_training = command.get_name() == "start-training";
    let default = if is_training && !names.any(|word| corpus(word).is_some()) { "quickstart" } else { "pretrain" };
    let source = find(named.unwrap_or(default)).ok();
    source.and_then(|source| parse::params(&source.text)).unwrap_or_default()
}

/// Answers a `-S` without `=`, as in `-S lr 0.1` and `-S lr:0.1`.
pub fn set_without_sign(words: &[&str]) -> Option<String> {
    let set = words.iter().position(|word| matches!(*word, "-S" | "--set"))?;
    let given = words.get(set + 1).filter(|given| !given.contains('='))?;
    let (name, value) = match (given.split_once(':'), words.get(set + 2)) {
        (Some((name, value)), _) => (name, value),
        (None, Some(value)) if !value.starts_with('-') => (*given, *value),
        (None, _) => (*given, "VALUE"),
    };
    Some(format!("write the value behind `=`: `-S {}`", quote(format!("{name}={value}"))))
}

/// Answers a word such as `lr=0.1`, which lacks its `-S`.
pub fn assignment(word: &str) -> Option<String> {
    let (name, _) = word.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    is_name.then(|| format!("a param is set with `-S`: `-S {}`", quote(word)))
}
