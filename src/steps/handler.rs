//! The interface of a step kind: what runs, independent of where.

use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::artifact::ArtifactStore;
use crate::core::artifact::Outputs;
use crate::core::catalog::{Gives, Placement};
use crate::core::event::Checkpoint;
use crate::core::failure::Failure;
use crate::core::protocol::{AttemptRequest, MetricRow, Progress};
use crate::core::wait::AtClaim;

use super::finding::Finding;

/// One step kind. Handlers are stateless; everything an attempt knows comes through the context.
pub trait StepHandler: Sync {
    /// Name in workflow files, such as `corpus.import`.
    fn kind(&self) -> &'static str;

    /// Grows when equal arguments give other outputs than before; part of the step key.
    fn version(&self) -> u32;

    /// One line for `workflow schema` and errors.
    fn summary(&self) -> &'static str;

    fn placement(&self) -> Placement {
        Placement::Child
    }

    /// JSON schema of `with`: an object that denies unknown properties.
    fn schema(&self) -> schemars::Schema;

    /// Names of outputs and values of a succeeded step; templates may name no others.
    fn gives(&self) -> Gives;

    /// Refuses invalid arguments before any work starts. Ignores files and earlier steps: a placeholder artifact
    /// represents one that does not exist yet.
    fn check(&self, with: &Value) -> Result<(), Failure> {
        let _ = with;
        Ok(())
    }

    /// What outside of `with` the outputs depend on: digests of files named by path, the backend.
    /// Runs in the engine just before the claim, and becomes part of the step key.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let _ = with;
        Ok(Value::Null)
    }

    /// Like [`StepHandler::fingerprint`], for a step that was attempted before with fingerprint `earlier`.
    fn fingerprint_again(&self, with: &Value, earlier: &Value) -> Result<Value, Failure> {
        let _ = earlier;
        self.fingerprint(with)
    }

    /// Checks a step on this machine before its run, for example for missing files. `with` may contain templates.
    fn look_ahead(&self, with: &Map<String, Value>) -> Vec<Finding> {
        let _ = with;
        Vec::new()
    }

    /// Whether an equal step key may reuse earlier outputs instead of running.
    fn reusable(&self, with: &Value) -> bool {
        let _ = with;
        true
    }

    /// Whether a worker is as good as new after a successful attempt, so that it can take the next one.
    fn leaves_no_trace(&self) -> bool {
        false
    }

    /// For kinds whose steps wait or are decided by the engine: what to do with a ready step of these
    /// resolved arguments, instead of an attempt. Such a step is never reused.
    fn at_claim(&self, with: &Value) -> Result<Option<AtClaim>, Failure> {
        let _ = with;
        Ok(None)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError>;
}

/// How an attempt ends without outputs.
#[derive(Debug)]
pub enum StepError {
    Failed(Failure),
    /// The engine asked to stop; work up to the last checkpoint is kept.
    Interrupted,
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        StepError::Failed(failure)
    }
}

/// The error of a failpoint.
#[cfg(feature = "failpoints")]
impl From<std::io::Error> for StepError {
    fn from(error: std::io::Error) -> Self {
        StepError::Failed(error.into())
    }
}

/// The attempt's line to the engine.
pub trait Reporter {
    fn progress(&mut self, progress: Progress);
    fn metric(&mut self, row: MetricRow);
    /// Metrics and checkpoints after `last_step` are void.
    fn rewind(&mut self, last_step: u64);
    /// Returns once the checkpoint is committed, or `Interrupted` when the engine is gone.
    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError>;
    /// For a thread that commits checkpoints while the attempt goes on and reports.
    fn checkpoint_line(&self) -> Arc<dyn CheckpointLine> {
        Arc::new(NoLine)
    }
    fn note(&mut self, message: String);
    /// A program has started in a process group of its own.
    fn group(&mut self, leader: u32) {
        let _ = leader;
    }
    /// True once the engine has asked to stop. Cheap; long loops call it often.
    fn interrupted(&self) -> bool;
}

/// The part of the line to the engine that any thread of the attempt may use. What was reported before is
/// committed with the checkpoint or before it.
pub trait CheckpointLine: Send + Sync {
    /// As [`Reporter::checkpoint`].
    fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StepError>;
}

/// Of attempts that have no engine to wait for.
struct NoLine;

impl CheckpointLine for NoLine {
    fn checkpoint(&self, _checkpoint: Checkpoint) -> Result<(), StepError> {
        Err(Failure::fatal("a step of this kind cannot write checkpoints in the background").into())
    }
}

/// What a handler works with during one attempt.
pub struct StepContext<'a> {
    pub request: &'a AttemptRequest,
    pub artifacts: &'a ArtifactStore,
    pub reporter: &'a mut dyn Reporter,
}

impl StepContext<'_> {
    /// The arguments as the kind's own type.
    ///
    /// # Errors
    /// A fatal failure that names the argument when a value has the wrong type.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        arguments(&self.request.with)
    }

    /// Durable directory of this step; survives attempts, removed when the step has succeeded.
    pub fn scratch(&self) -> &Path {
        &self.request.scratch_dir
    }

    /// Errors with `Interrupted` once the engine has asked to stop.
    pub fn check_interrupt(&self) -> Result<(), StepError> {
        if self.reporter.interrupted() { Err(StepError::Interrupted) } else { Ok(()) }
    }
}

/// The checkpoint that a fork goes on from is damaged or gone; to start over would be another run.
pub fn forked_from_nothing(train_step: u64) -> Failure {
    Failure::fatal(format!("the checkpoint of training step {train_step}, from which this run was forked, is unusable"))
        .with_hint("`stepwell watch` tells which file is damaged; fork at another training step, or at the whole step")
}

/// `with` as the kind's own type, for `run` and `fingerprint` alike.
///
/// # Errors
/// A fatal failure that says which argument is wrong.
pub fn arguments<T: DeserializeOwned>(with: &Value) -> Result<T, Failure> {
    serde_json::from_value(with.clone())
        .map_err(|error| Failure::fatal(format!("invalid arguments in `with`: {error}")))
}
