//! Checkpoints of a step: the newest, the best, and all that are there.

use super::super::parts::{When, bytes};
use crate::problem::Problem;
use stepwell_base::ids::{RunId, StepId};
use stepwell_store::{CheckpointRow, Reader};

pub struct Saved {
    pub step: String,
    pub at: When,
    pub train_step: Option<u64>,
    pub loss: Option<String>,
    pub val_loss: Option<String>,
    pub size: Option<String>,
    pub attempt: u32,
    pub note: String,
    pub is_best: bool,
}

/// All checkpoints of a step that are there, newest first.
pub fn all(reader: &Reader, run: RunId, step: &StepId) -> Result<Vec<Saved>, Problem> {
    let rows = reader.checkpoints(run, step)?;
    // Each was the best when it was written; the newest of them still is.
    let best = rows.iter().find(|row| row.checkpoint.best).map(|row| row.seq);
    let newest = rows.first().map(|row| row.seq);
    Ok(rows.into_iter().map(|row| saved(step, best, newest, row)).collect())
}

/// The newest checkpoint of a step and, beside it, the one with the lowest validation loss.
pub fn newest_and_best(reader: &Reader, run: RunId, step: &StepId) -> Result<Vec<Saved>, Problem> {
    let rows = all(reader, run, step)?.into_iter().enumerate();
    Ok(rows.filter(|(place, row)| *place == 0 || row.is_best).map(|(_, row)| row).collect())
}

fn saved(step: &StepId, best: Option<i64>, newest: Option<i64>, row: CheckpointRow) -> Saved {
    let CheckpointRow { seq, attempt, at, checkpoint } = row;
    let figure = |loss: Option<f64>| loss.map(|loss| format!("{loss:.4}"));
    let is_best = best == Some(seq);
    let notes = [
        (newest == Some(seq)).then(|| "newest".to_owned()),
        is_best.then(|| "best validation so far".to_owned()),
        checkpoint.phase.as_ref().map(|phase| match checkpoint.permanent {
            true => format!("end of {phase}"),
            false => phase.clone(),
        }),
        checkpoint.permanent.then(|| "kept".to_owned()),
    ];
    Saved {
        step: step.to_string(),
        at: When::new(at),
        train_step: checkpoint.last_step,
        loss: figure(checkpoint.loss),
        val_loss: figure(checkpoint.val_loss),
        size: checkpoint.artifact.as_ref().map(|artifact| bytes(artifact.size)),
        attempt,
        note: notes.into_iter().flatten().collect::<Vec<_>>().join(", "),
        is_best,
    }
}
