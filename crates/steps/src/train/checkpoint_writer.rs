//! Turns a snapshot into a committed checkpoint on its own thread, while training continues.

use std::collections::BTreeMap;
use std::fs::File;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::host::SAFETENSORS;
use crate::handler::{CheckpointLine, JSON, StepError};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_train::model::shared::Shared;
use stepwell_train::model::weights::FileLayout;
use stepwell_train::training::checkpoint::{EMA_FILE, FORMAT, OPTIMIZER_FILE, STATE_FILE, Snapshot, WEIGHTS_FILE};

/// Writes one checkpoint at a time: `start` first settles the previous one.
pub struct CheckpointWriter {
    artifacts: ArtifactStore,
    line: Arc<dyn CheckpointLine>,
    /// Number of newest checkpoints that stay.
    keep: u32,
    /// Committed checkpoints, oldest first.
    committed: Vec<Checkpoint>,
    in_flight: Option<JoinHandle<Result<Written, StepError>>>,
    /// Processor time of the last committed checkpoint.
    processor_time: Duration,
}

/// A committed checkpoint.
struct Written {
    /// Processor time that the thread used.
    processor_time: Duration,
    checkpoint: Checkpoint,
}

impl CheckpointWriter {
    /// `committed` are those of earlier attempts, oldest first.
    pub fn new(artifacts: ArtifactStore, line: Arc<dyn CheckpointLine>, keep: u32, committed: Vec<Checkpoint>) -> Self {
        CheckpointWriter { artifacts, line, keep, committed, in_flight: None, processor_time: Duration::ZERO }
    }

    /// Starts to write. `metrics` holds the rows up to the snapshot, and possibly more.
    ///
    /// # Errors
    /// Those of the previous checkpoint, and when no thread can be started.
    pub fn start(&mut self, snapshot: Snapshot, metrics: File) -> Result<(), StepError> {
        self.settle()?;
        let (artifacts, line, keep) =
            (self.artifacts.clone(), self.line.clone(), self.keep.saturating_add(snapshot.extra));
        let write = move || {
            let checkpoint = publish(&artifacts, snapshot, &metrics, keep)?;
            line.checkpoint(checkpoint.clone())?;
            Ok(Written { processor_time: thread_time(), checkpoint })
        };
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(write);
        self.in_flight = Some(thread.map_err(|error| Failure::io("cannot start a thread", &error))?);
        Ok(())
    }

    /// Settles a finished checkpoint. Never waits.
    ///
    /// # Errors
    /// Those of a checkpoint that has failed meanwhile.
    pub fn poll(&mut self) -> Result<(), StepError> {
        if self.in_flight.as_ref().is_some_and(JoinHandle::is_finished) { self.settle() } else { Ok(()) }
    }

    /// Waits until no checkpoint is being written.
    ///
    /// # Errors
    /// When the last checkpoint could not be written, or the engine is gone.
    pub fn settle(&mut self) -> Result<(), StepError> {
        let Some(thread) = self.in_flight.take() else { return Ok(()) };
        let Written { processor_time, checkpoint } = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        self.processor_time = processor_time;
        self.committed.push(checkpoint);
        Ok(())
    }

    /// Files of the best checkpoint that is committed.
    pub fn best(&self) -> Option<&ArtifactRef> {
        self.committed.iter().rev().find(|checkpoint| checkpoint.best).and_then(|best| best.artifact.as_ref())
    }

    /// Forgets the checkpoints after `train_step`. Returns that of the step itself.
    pub fn rewind(&mut self, train_step: u64) -> Option<Checkpoint> {
        self.committed.retain(|checkpoint| checkpoint.last_step.is_some_and(|step| step <= train_step));
        self.committed.iter().rev().find(|checkpoint| checkpoint.last_step == Some(train_step)).cloned()
    }

    /// Time that training lost because a processor was busy with the last checkpoint; `None` while one is being
    /// written.
    pub fn cost(&self) -> Option<Duration> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get) as u32;
        self.in_flight.is_none().then_some(self.processor_time / processors)
    }
}

/// Publishes the files, then the manifest that names them. The database learns of them afterwards, so a crash in
/// between leaves files without a reference.
fn publish(artifacts: &ArtifactStore, snapshot: Snapshot, metrics: &File, keep: u32) -> Result<Checkpoint, StepError> {
    let Snapshot { state, weights, moments, ema, permanent, extra: _ } = snapshot;
    metrics.sync_all().map_err(|error| Failure::io("cannot write the metrics", &error))?;
    let (weights, moments, ema) = (FileLayout::new(weights), FileLayout::new(moments), ema.map(FileLayout::new));
    artifacts.check_space(weights.size() + moments.size() + ema.as_ref().map_or(0, FileLayout::size))?;
    let put = |layout: FileLayout<Shared>| {
        artifacts.put_written(layout.size(), SAFETENSORS, |file| layout.write(file)).map_err(Failure::from)
    };
    let mut files = BTreeMap::from([
        (WEIGHTS_FILE.to_owned(), put(weights)?),
        (OPTIMIZER_FILE.to_owned(), put(moments)?),
        (STATE_FILE.to_owned(), artifacts.put_bytes(&state.to_file(), JSON)?),
    ]);
    if let Some(ema) = ema {
        files.insert(EMA_FILE.to_owned(), put(ema)?);
    }
    Ok(Checkpoint {
        artifact: Some(artifacts.put_tree(&files)?),
        state: json!({"format": FORMAT}),
        last_step: Some(state.step),
        last_doc_index: None,
        tokens_so_far: Some(state.tokens),
        loss: state.loss.map(f64::from),
        phase: Some(state.phase),
        permanent,
        keep: Some(keep),
        val_loss: state.standing.loss_at(state.step).map(f64::from),
        best: state.standing.is_best(state.step),
    })
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
