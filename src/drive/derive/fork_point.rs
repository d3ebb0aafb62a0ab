//! The place where a fork leaves the run that it comes from.

use std::collections::BTreeSet;

use super::earlier_run::EarlierRun;
use super::fork_fit;
use crate::drive::submission::Submission;
use crate::error::CliError;
use crate::session::Session;
use crate::view::run_handle::handle;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::StepId;
use stepwell_base::names::RunName;
use stepwell_base::remark::Tag;
use stepwell_base::shell;
use stepwell_run::run_options::Origin;
use stepwell_store::Adoption;

/// A run that forks `source` at a step, or at the checkpoint of a training step in it.
///
/// # Errors
/// `NotFound` when there is no such step or checkpoint, `Usage` for a training step of an item.
pub fn fork_at(
    session: &Session,
    source: EarlierRun,
    labels: (Option<&RunName>, BTreeSet<Tag>),
    (step, train_step): (&str, Option<u64>),
) -> Result<Submission, CliError> {
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
    let again = source.with_descendants(&at);
    Ok(source.derive(session, labels, again, origin, adoption))
}

/// The checkpoint of exactly that training step, after verifying every byte of it. The fork keeps it permanently.
fn adoption(session: &Session, source: &EarlierRun, step: &StepId, train_step: u64) -> Result<Adoption, CliError> {
    let rows = source.reader.checkpoints(source.id(), step)?;
    let found = rows.iter().map(|row| &row.checkpoint).find(|checkpoint| checkpoint.last_step == Some(train_step));
    let Some(checkpoint) = found else {
        let kept = rows.iter().rev().filter_map(|row| row.checkpoint.last_step);
        let kept: Vec<u64> = kept.collect();
        let near = nearest(&kept, train_step).map(|near| {
            let set = source.set.iter().map(|(name, value)| format!(" -S {}", shell::quote(format!("{name}={value}"))));
            let verb = format!("fork --at {}{}", shell::quote(format!("{step}:{near}")), set.collect::<String>());
            format!("the nearest one: {}", shell::stepwell(&verb, [&*handle(&source.reader, &source.run)]))
        });
        let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
        let message =
            format!("step `{step}` of run {} has no checkpoint of training step {train_step}", source.run.name);
        return Err(CliError::not_found(message).hints(near).hint(match kept.as_slice() {
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
    fork_fit::check(session, source, step, checkpoint)?;
    if let Some(artifact) = &checkpoint.artifact {
        session.artifacts()?.verify(artifact)?;
    }
    let checkpoint = Checkpoint { permanent: true, ..checkpoint.clone() };
    Ok(Adoption { step: step.clone(), from: source.id(), checkpoint })
}

/// The newest checkpoint before a training step, or else the oldest one after it.
fn nearest(kept: &[u64], wanted: u64) -> Option<u64> {
    kept.iter().copied().filter(|step| *step <= wanted).max().or_else(|| kept.iter().copied().min())
}

/// True for kinds with an argument that sets how many checkpoints stay.
fn keeps_a_number(kind: &str) -> bool {
    stepwell_steps::find(kind)
        .is_some_and(|handler| handler.schema().to_value().pointer("/properties/keep_checkpoints").is_some())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_checkpoint_lies_before_the_wanted_step_if_one_does() {
        assert_eq!(nearest(&[300, 250, 200], 260), Some(250));
        assert_eq!(nearest(&[300, 250, 200], 150), Some(200));
        assert_eq!(nearest(&[], 150), None);
    }
}
