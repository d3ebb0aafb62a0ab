//! Chooses the checkpoint to resume from: the newest whose bytes are all intact.

use crate::handler::Reporter;
use stepwell_artifact::ArtifactStore;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::error_chain::error_chain;
use stepwell_train::device::tuning;
use stepwell_train::training::checkpoint::{
    EMA_FILE, Expected, Files, OPTIMIZER_FILE, Restored, STATE_FILE, WEIGHTS_FILE, build_id, restore,
};

/// Restores the newest valid checkpoint; `None` starts from the beginning. A note names every rejected checkpoint
/// with the file and the reason.
pub fn newest_valid(
    artifacts: &ArtifactStore,
    reporter: &mut dyn Reporter,
    checkpoints: &[Checkpoint],
    expected: &Expected<'_>,
    device: &str,
) -> Option<Restored> {
    for checkpoint in checkpoints {
        match load(artifacts, checkpoint, expected) {
            Ok(restored) => {
                note_differences(reporter, &restored, device);
                return Some(restored);
            }
            Err(problem) => reporter.note(format!(
                "the checkpoint of step {} cannot be used, going back to the one before: {problem}",
                checkpoint.last_step.unwrap_or(0)
            )),
        }
    }
    if !checkpoints.is_empty() {
        reporter.note("no usable checkpoint is left: training starts again from step 0".to_owned());
    }
    None
}

fn load(artifacts: &ArtifactStore, checkpoint: &Checkpoint, expected: &Expected<'_>) -> Result<Restored, String> {
    let manifest = checkpoint.artifact.as_ref().ok_or("it has no files")?;
    let tree = artifacts.read_tree(manifest).map_err(|error| format!("manifest: {}", error.what()))?;
    let file = |name: &str| {
        let entry = tree.entries.get(name).ok_or_else(|| format!("its manifest has no {name}"))?;
        artifacts.read(entry).map_err(|error| format!("{name}: {}", error.what()))
    };
    let (state, weights, optimizer) = (file(STATE_FILE)?, file(WEIGHTS_FILE)?, file(OPTIMIZER_FILE)?);
    let ema = tree.entries.contains_key(EMA_FILE).then(|| file(EMA_FILE)).transpose()?;
    let files = Files { state: &state, weights: &weights, optimizer: &optimizer, ema: ema.as_deref() };
    restore(files, expected).map_err(|error| error_chain(&error))
}

/// Another device or build may round differently. This is allowed, but the result may have other bits.
fn note_differences(reporter: &mut dyn Reporter, restored: &Restored, device: &str) {
    let state = &restored.state;
    for (what, before, now) in [("device", state.device.as_str(), device), ("build", &state.build, &build_id())] {
        if before != now {
            reporter.note(format!(
                "the checkpoint of step {} was made by {what} `{before}`, this is `{now}`: the final bits may differ",
                state.step
            ));
        }
    }
    let here = tuning::current().device;
    if !state.tuning.is_empty() && state.tuning.device != here {
        reporter.note(format!(
            "the checkpoint of step {} was made on `{}`, this is `{here}`: kernels are chosen again, the final bits may differ",
            state.step, state.tuning.device
        ));
    }
    let fresh = restored.optimizer.without_state(&restored.model);
    if fresh > 0 {
        reporter.note(format!(
            "the checkpoint of step {} has no optimizer state for {fresh} parameters: it starts with zeros",
            state.step
        ));
    }
}
