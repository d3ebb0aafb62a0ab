//! `stepwell start-training [TEXT or WORKFLOW]`: `run` with training's defaults and its phases as flags.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::arguments::OptionalRun;
use crate::drive::load_workflow::load;
use crate::drive::submission::{SubmitArgs, submit};
use crate::drive::workflow_source::corpus;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::verbs::control::cancel::{CancelArgs, cancel};
use crate::verbs::look::list::{ListArgs, list};
use crate::verbs::look::show::{ShowArgs, show};
use stepwell_workflow::spec::WorkflowSpec;

/// The workflow that trains on a person's own text, given as its parameter `corpus`.
const OWN_TEXT: &str = "pretrain";

/// Train a language model: `quickstart` on an embedded corpus, `pretrain` on your own text
///
/// Without an argument it runs `quickstart`. Given a text, it runs `pretrain` on that text. Otherwise it is `run` with
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
    /// Your own text (a file, a folder or a glob, for `pretrain`), the name of a workflow, or the path of a TOML file
    #[arg(default_value = "quickstart", value_name = "TEXT or WORKFLOW")]
    pub workflow: String,
    /// Train only these phases of the workflow's `phases` parameter (repeatable)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub phase: Vec<String>,
    #[command(flatten)]
    pub submit: SubmitArgs,
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
        Some(TrainingVerb::Status(OptionalRun { run })) => show(session, &ShowArgs { run: run.clone(), all: false }),
        Some(TrainingVerb::Cancel(args)) => cancel(session, args),
        Some(TrainingVerb::List) => list(session, &ListArgs::default()),
    }
}

fn start(session: &Session, args: &StartArgs) -> Result<Exit, CliError> {
    let mut set = args.submit.params.set.clone();
    let workflow = match corpus(&args.workflow) {
        Some(text) => {
            // Quotes keep every path unchanged.
            set.push(("corpus".to_owned(), Value::from(text).to_string()));
            OWN_TEXT
        }
        None => &args.workflow,
    };
    let mut spec = load(session, workflow, &set)?;
    if !args.phase.is_empty() {
        select_phases(&mut spec, &args.phase)?;
    }
    submit(session, spec, &args.submit)
}

/// Keeps the phases with the given names, in the workflow's order.
fn select_phases(spec: &mut WorkflowSpec, names: &[String]) -> Result<(), CliError> {
    let Some(Value::Array(phases)) = spec.params.get_mut("phases") else {
        return Err(CliError::usage(format!("workflow {} has no list of `phases` to choose from", spec.name)));
    };
    let known: Vec<String> = phases.iter().filter_map(|phase| Some(phase.get("name")?.as_str()?.to_owned())).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(CliError::usage(format!("workflow {} has no phase `{unknown}`", spec.name))
            .hint(format!("its phases are {}", known.join(", "))));
    }
    phases
        .retain(|phase| phase.get("name").and_then(Value::as_str).is_some_and(|name| names.iter().any(|n| n == name)));
    Ok(())
}
