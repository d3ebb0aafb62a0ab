//! `stepwell fork RUN --at STEP[:TRAIN_STEP]`

use clap::Args;

use crate::drive::derive::{EarlierRun, NewRunArgs, fork_at};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle;
use stepwell_base::ids::StepId;
use stepwell_base::shell;

/// Fork a run at a step, or at a checkpoint within it, with other parameters
///
/// The new run takes over the steps before that place where they are equal. With `STEP:TRAIN_STEP` it continues
/// from that checkpoint.
#[derive(Args, Debug)]
pub struct ForkArgs {
    #[command(flatten)]
    pub new: NewRunArgs,
    /// Place to branch off: a step, or a training step of it that has a checkpoint
    #[arg(long, aliases = ["step", "from", "from-step", "checkpoint", "train-step", "from-checkpoint"], value_name = "STEP[:TRAIN_STEP]")]
    pub at: String,
}

pub fn fork(session: &Session, args: &ForkArgs) -> Result<Exit, CliError> {
    let source = EarlierRun::load(session, &args.new.run, &args.new.params.set)?;
    let (step, train_step) = place(&source, &args.at)?;
    let new = fork_at(session, source, args.new.labels(), (&step, train_step))?;
    new.start(session, args.new.detach.drive())
}

fn place(source: &EarlierRun, text: &str) -> Result<(String, Option<u64>), CliError> {
    let Some((step, train_step)) = text.rsplit_once(':') else {
        return match text.parse() {
            Ok(train_step) if source.step(text).is_err() => {
                Ok((only_training(source, train_step)?.to_owned(), Some(train_step)))
            }
            _ => Ok((text.to_owned(), None)),
        };
    };
    match train_step.parse() {
        Ok(train_step) => Ok((step.to_owned(), Some(train_step))),
        Err(_) => Err(CliError::usage(format!("`{train_step}` in `--at {text}` is not a training step"))
            .hint("write `--at STEP` or `--at STEP:1000`")),
    }
}

/// The step that a training step without a step means: the only one that has checkpoints.
fn only_training(source: &EarlierRun, train_step: u64) -> Result<&str, CliError> {
    let mut trainings = Vec::new();
    for step in source.steps() {
        if counts_training_steps(source.kind(step)) || !source.reader.checkpoints(source.id(), step)?.is_empty() {
            trainings.push(step.as_str());
        }
    }
    let message = format!("`--at {train_step}` names no step");
    let fork = |step: &str| {
        shell::stepwell(&format!("fork --at {step}:{train_step}"), [&*handle(&source.reader, &source.run)])
    };
    match trainings.as_slice() {
        [one] => Ok(one),
        [] => Err(CliError::usage(message).hint(format!(
            "run {} has no training step; `--at STEP` forks at one of {}",
            source.run.name,
            source.steps().map(StepId::as_str).collect::<Vec<_>>().join(", ")
        ))),
        many => {
            let forks: Vec<String> = many.iter().map(|step| fork(step)).collect();
            Err(CliError::usage(message).hint(format!("name the training step, too: {}", forks.join(" or "))))
        }
    }
}

fn counts_training_steps(kind: &str) -> bool {
    stepwell_steps::find(kind).is_some_and(|handler| handler.counts_training_steps())
}
