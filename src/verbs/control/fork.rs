//! `stepwell fork RUN --at STEP[:TRAIN_STEP]`

use clap::Args;

use crate::drive::derive::{EarlierRun, NewRunArgs};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::StepId;
use stepwell_base::shell;
use stepwell_run::run_options::Origin;
use stepwell_store::Adoption;

/// Fork a run at a step, or at a checkpoint within it, with other parameters
///
/// The new run takes over the steps before that place where they are equal. With `STEP:TRAIN_STEP` it continues
/// from that checkpoint.
#[derive(Args, Debug)]
pub struct ForkArgs {
    #[command(flatten)]
    pub new: NewRunArgs,
    /// Place to branch off: a step, or a training step of it that has a checkpoint
    #[arg(long, value_name = "STEP[:TRAIN_STEP]")]
    pub at: String,
}

pub fn fork(session: &Session, args: &ForkArgs) -> Result<Exit, CliError> {
    let (step, train_step) = place(&args.at)?;
    let source = EarlierRun::load(session, &args.new)?;
    let at = source.step(step)?;
    let adoption = match train_step {
        Some(_) if at.as_str() != step => {
            return Err(CliError::usage(format!("`{step}` is an item of a fan-out: it cannot be forked within"))
                .hint(format!("`--at {at}` forks at the whole step")));
        }
        Some(train_step) => Some(adoption(session, &source, &at, train_step)?),
        None => None,
    };
    let origin = Origin::Fork { run: source.id(), at: at.clone(), train_step };
    source.start(session, &args.new, &at, origin, adoption)
}

fn place(text: &str) -> Result<(&str, Option<u64>), CliError> {
    let Some((step, train_step)) = text.rsplit_once(':') else { return Ok((text, None)) };
    match train_step.parse() {
        Ok(train_step) => Ok((step, Some(train_step))),
        Err(_) => Err(CliError::usage(format!("`{train_step}` in `--at {text}` is not a training step"))
            .hint("write `--at STEP` or `--at STEP:1000`")),
    }
}

/// The checkpoint of exactly that training step, after verifying every byte of it. The fork keeps it permanently.
fn adoption(session: &Session, source: &EarlierRun, step: &StepId, train_step: u64) -> Result<Adoption, CliError> {
    let rows = source.reader.checkpoints(source.id(), step)?;
    let found = rows.iter().map(|row| &row.checkpoint).find(|checkpoint| checkpoint.last_step == Some(train_step));
    let Some(checkpoint) = found else {
        let kept = rows.iter().rev().filter_map(|row| row.checkpoint.last_step);
        let kept: Vec<String> = kept.map(|step| step.to_string()).collect();
        let message =
            format!("step `{step}` of run {} has no checkpoint of training step {train_step}", source.run.name);
        return Err(CliError::not_found(message).hint(match kept.as_slice() {
            [] => format!("it has no checkpoints: `--at {step}` runs the whole step"),
            kept => format!(
                "there are {}; older ones were dropped: {}; {} lists them",
                kept.join(", "),
                match keeps_a_number(source.kind(step)) {
                    true => "`keep_checkpoints` of the step sets how many stay, the ends of phases stay for good",
                    false => "a step of this kind keeps its newest ones",
                },
                shell::stepwell("checkpoints", [&*handle(&source.reader, &source.run)]),
            ),
        }));
    };
    if let Some(artifact) = &checkpoint.artifact {
        session.artifacts()?.verify(artifact)?;
    }
    let checkpoint = Checkpoint { permanent: true, ..checkpoint.clone() };
    Ok(Adoption { step: step.clone(), from: source.id(), checkpoint })
}

/// True for kinds with an argument that sets how many checkpoints stay.
fn keeps_a_number(kind: &str) -> bool {
    stepwell_steps::find(kind)
        .is_some_and(|handler| handler.schema().to_value().pointer("/properties/keep_checkpoints").is_some())
}
