//! `stepwell start-training [TEXT or WORKFLOW]`: `run` with training's defaults and its phases as flags.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::arguments::{LogArgs, OptionalRun};
use crate::drive::load_workflow::load;
use crate::drive::mistakes::{Shape, from_script, shape_of};
use crate::drive::submission::{SubmitArgs, submit};
use crate::drive::workflow_source::{corpus, find, near_file};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::guess::assignment;
use crate::session::Session;
use crate::verbs::control::cancel::{CancelArgs, cancel};
use crate::verbs::look::list::{ListArgs, list};
use crate::verbs::look::show::{ShowArgs, show};
use stepwell_base::shell;
use stepwell_workflow::spec::WorkflowSpec;

/// The workflow that trains on a person's own text, given as its parameter `corpus`.
const OWN_TEXT: &str = "pretrain";

/// Train a language model: `quickstart` on an embedded corpus, `pretrain` on your own text
///
/// Without an argument it runs `quickstart`. Given texts, it runs `pretrain` on them. Otherwise it is `run` with
/// `--phase`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct StartTrainingArgs {
    #[command(subcommand)]
    pub verb: Option<TrainingVerb>,
    #[command(flatten)]
    pub start: StartArgs,
}

#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    /// Your own texts (files, folders or globs, for `pretrain`), the name of a workflow, or the path of a TOML file
    #[arg(default_value = "quickstart", value_name = "TEXT or WORKFLOW")]
    pub what: Vec<String>,
    /// Train only these phases of the workflow's `phases` parameter, by name or number (repeatable)
    #[arg(long, alias = "phases", value_name = "NAME", value_delimiter = ',')]
    pub phase: Vec<String>,
    #[command(flatten)]
    pub submit: SubmitArgs,
}

impl StartTrainingArgs {
    pub fn logs(&self) -> LogArgs {
        match &self.verb {
            Some(TrainingVerb::Start(args)) => args.submit.logs,
            _ => self.start.submit.logs,
        }
    }
}

#[derive(Subcommand, Debug)]
pub enum TrainingVerb {
    /// Start a training run (the same as without a verb)
    Start(StartArgs),
    /// Show a run
    Status(OptionalRun),
    Cancel(CancelArgs),
    /// List runs
    List,
}

pub fn start_training(session: &Session, args: &StartTrainingArgs) -> Result<Exit, CliError> {
    match &args.verb {
        None => start(session, &args.start),
        Some(TrainingVerb::Start(args)) => start(session, args),
        Some(TrainingVerb::Status(OptionalRun { run })) => {
            show(session, &ShowArgs { run: run.clone(), step: None, all: false })
        }
        Some(TrainingVerb::Cancel(args)) => cancel(session, args),
        Some(TrainingVerb::List) => list(session, &ListArgs::default()),
    }
}

fn start(session: &Session, args: &StartArgs) -> Result<Exit, CliError> {
    let mut set = args.submit.params.set.clone();
    let workflow = match subject(&args.what)? {
        Subject::Workflow(name) => name,
        Subject::Texts(texts) => {
            set.push(("corpus".to_owned(), corpus_value(texts)));
            OWN_TEXT
        }
    };
    let mut loaded = load(session, workflow, &set)?;
    if !args.phase.is_empty() {
        select_phases(&mut loaded.spec, &args.phase)?;
    }
    submit(session, loaded, &args.submit)
}

/// What a person wants to train.
#[derive(PartialEq, Eq, Debug)]
enum Subject<'a> {
    Workflow(&'a str),
    Texts(&'a [String]),
}

fn subject(what: &[String]) -> Result<Subject<'_>, CliError> {
    for word in what.iter().filter(|_| what.len() > 1) {
        if corpus(word).is_none() && find(word).is_ok() {
            return Err(CliError::usage(format!("`{word}` is a workflow: it stands alone, or after `-S corpus=TEXT`"))
                .hint(format!(
                    "{} trains it on a text",
                    shell::stepwell(&format!("run -S corpus=TEXT {}", shell::quote(word)), [])
                )));
        }
    }
    for word in what {
        match corpus(word) {
            Some(text) => check_text(text)?,
            None if find(word).is_ok() => return Ok(Subject::Workflow(word)),
            None => return Err(no_subject(word)),
        }
    }
    Ok(Subject::Texts(what))
}

/// Refuses files that people do not mean as a text.
fn check_text(path: &str) -> Result<(), CliError> {
    let as_text = || {
        let corpus = shell::quote(format!("corpus={path}"));
        format!("to train on its text: {}", shell::stepwell(&format!("start-training -S {corpus} pretrain"), []))
    };
    let refused = |what: &str| CliError::usage(format!("`{path}` is {what}, not a text to train on"));
    match shape_of(Path::new(path)) {
        Shape::Script => Err(refused("a script").hint(from_script(path)).hint(as_text())),
        Shape::Notebook => Err(refused("a notebook").hint(as_text())),
        Shape::Yaml => Err(refused("a YAML file")
            .hint("`-S NAME=VALUE` sets a param; `stepwell workflow show pretrain` explains them")
            .hint(as_text())),
        Shape::Binary | Shape::Program => {
            Err(refused("a binary file")
                .hint("texts are .txt, .md, .jsonl, .ndjson and .json, each also as .gz or .zst"))
        }
        Shape::Folder | Shape::Json | Shape::Text => Ok(()),
    }
}

fn no_subject(word: &str) -> CliError {
    let missing = CliError::not_found(format!("there is no text or workflow `{word}`"));
    match (assignment(word), near_file(word)) {
        (Some(answer), _) => missing.hint(answer),
        (None, Some(near)) => missing.hint(format!("did you mean {}?", shell::stepwell("start-training", [&*near]))),
        (None, None) => {
            missing.hint("name a file, a folder or a glob, or a workflow that `stepwell workflow list` names")
        }
    }
}

/// The value of the param `corpus`; its quotes keep every path unchanged.
fn corpus_value(texts: &[String]) -> String {
    match texts {
        [one] => Value::from(one.as_str()).to_string(),
        many => Value::from(many).to_string(),
    }
}

/// Keeps the phases with the given names, in the workflow's order.
fn select_phases(spec: &mut WorkflowSpec, names: &[String]) -> Result<(), CliError> {
    let Some(Value::Array(phases)) = spec.params.get_mut("phases") else {
        return Err(CliError::usage(format!("workflow {} has no list of `phases` to choose from", spec.name)));
    };
    if phases.is_empty() {
        return Err(CliError::usage(format!("workflow {} trains in one phase of `steps` steps", spec.name))
            .hint("`-S 'phases=[{ name = \"a\", steps = 900 }, { name = \"b\", steps = 300 }]'` gives it phases"));
    }
    let known: Vec<String> = phases.iter().filter_map(|phase| Some(phase.get("name")?.as_str()?.to_owned())).collect();
    let mut chosen = Vec::with_capacity(names.len());
    for name in names {
        match phase_named(&known, name) {
            Some(phase) => chosen.push(phase.to_owned()),
            None => {
                return Err(CliError::usage(format!("workflow {} has no phase `{name}`", spec.name))
                    .hint(format!("its phases are {}", known.join(", "))));
            }
        }
    }
    phases
        .retain(|phase| phase.get("name").and_then(Value::as_str).is_some_and(|name| chosen.iter().any(|n| n == name)));
    Ok(())
}

/// The phase with this name, or else with this number, counted from 1.
fn phase_named<'a>(known: &'a [String], name: &str) -> Option<&'a str> {
    let numbered = || known.get(name.parse::<usize>().ok()?.checked_sub(1)?);
    known.iter().find(|known| *known == name).or_else(numbered).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_a_name_and_a_number() {
        let known = ["grammar", "1", "words"].map(str::to_owned);
        assert_eq!(phase_named(&known, "words"), Some("words"));
        assert_eq!(phase_named(&known, "3"), Some("words"));
        assert_eq!(phase_named(&known, "1"), Some("1"), "a name comes first");
        assert_eq!([phase_named(&known, "0"), phase_named(&known, "4"), phase_named(&known, "word")], [None; 3]);
    }
}
