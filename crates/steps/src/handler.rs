//! Interface of a step kind, independent of where its steps run.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use stepwell_artifact::{ArtifactError, ArtifactStore};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::{AttemptRequest, MetricRow, Progress, SeriesChange};
use stepwell_run::command::AtClaim;
use stepwell_workflow::catalog::{Gives, Placement};

use super::finding::Finding;

/// Media type of JSON.
pub const JSON: &str = "application/json";

/// One step kind. Handlers are stateless: an attempt gets everything it knows through the context.
pub trait StepHandler: Sync {
    /// Name in workflow files, such as `corpus.import`.
    fn kind(&self) -> &'static str;

    /// Grows when equal arguments give other outputs than before; part of the step key.
    fn version(&self) -> u32;

    /// One line for `workflow schema` and error messages.
    fn summary(&self) -> &'static str;

    fn placement(&self) -> Placement {
        Placement::Child
    }

    /// JSON schema of `with`: an object that denies unknown properties.
    fn schema(&self) -> schemars::Schema;

    /// Names of a succeeded step's outputs and values; templates may use no other names.
    fn gives(&self) -> Gives;

    /// Results that a person sees at the end of the run.
    fn highlight(&self) -> Highlight {
        Highlight::Nothing
    }

    /// True if progress counts training steps, so that the training step of a checkpoint is progress too.
    fn counts_training_steps(&self) -> bool {
        false
    }

    /// Refuses invalid arguments before any work starts. Ignores files and earlier steps: a placeholder artifact stands
    /// for an output that does not exist yet.
    fn check(&self, with: &Value) -> Result<(), Failure> {
        let _ = with;
        Ok(())
    }

    /// Describes everything outside `with` that the outputs depend on, such as the backend and the digests of files
    /// named by path. The engine calls it just before the claim and makes the result part of the step key.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let _ = with;
        Ok(Value::Null)
    }

    /// Like [`StepHandler::fingerprint`], for a step of a run.
    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let _ = surroundings;
        self.fingerprint(with)
    }

    /// Checks a step on this machine before the run, for example for missing files. `with` may contain templates;
    /// `project` is that of [`Surroundings`].
    fn look_ahead(&self, with: &Map<String, Value>, project: &Path) -> Vec<Finding> {
        let _ = (with, project);
        Vec::new()
    }

    /// Arguments that a checkpoint depends on: a fork in the middle of a step must not change them.
    fn fixed_by_checkpoint(&self) -> &'static [&'static str] {
        &[]
    }

    /// Says why a step with these arguments cannot continue from a checkpoint of another run; `file` reads one of its files.
    /// Placeholders stand for artifacts, as in [`StepHandler::check`].
    fn misfit(&self, with: &Value, file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<Misfit> {
        let _ = (with, file);
        None
    }

    /// True if a step may reuse the outputs of an earlier step with the same key.
    fn reusable(&self, with: &Value) -> bool {
        let _ = with;
        true
    }

    /// True if a successful attempt leaves the worker as good as new, so that it can run another.
    fn leaves_no_trace(&self) -> bool {
        false
    }

    /// True if a later attempt finds out what needed too much memory, and goes on without it: a kill by the kernel for lack of memory
    /// is then an ordinary death of the worker.
    fn survives_memory_kills(&self) -> bool {
        false
    }

    /// Returns the engine's action for a ready step with these resolved arguments, or `None` to start an attempt. Only
    /// kinds whose steps wait or are decided by the engine return an action; their steps are never reused.
    fn at_claim(&self, with: &Value) -> Result<Option<AtClaim>, Failure> {
        let _ = with;
        Ok(None)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError>;
}

/// Reason why a step cannot continue from a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// Its weights are those of a model of another shape.
    Shape,
    /// It lies behind the last of so many training steps.
    BehindTheEnd { steps: u64 },
}

/// Facts about a step, beside its arguments, that its fingerprint depends on.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Folder of the workflow file, or an empty path for a workflow without a file.
    pub project: &'a Path,
    /// Name of the file that is the item of a child, if `for_each` lists files.
    pub file: Option<&'a str>,
    /// The fingerprint of an earlier attempt.
    pub earlier: Option<&'a Value>,
}

/// Results of a succeeded step that a person sees at the end of the run. The names are among those that the kind gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Highlight {
    Nothing,
    /// Every value that is a number.
    Numbers,
    /// The texts in the value of this name, which is a list.
    Texts(&'static str),
    /// The files in the output of this name, which is a tree; they are copied to the exports folder.
    Folder(&'static str),
}

/// Reasons for an attempt to end without outputs.
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

impl From<ArtifactError> for StepError {
    fn from(error: ArtifactError) -> Self {
        StepError::Failed(error.into())
    }
}

/// Converts the error of a failpoint.
#[cfg(feature = "failpoints")]
impl From<std::io::Error> for StepError {
    fn from(error: std::io::Error) -> Self {
        StepError::Failed(error.into())
    }
}

/// Channel from an attempt to the engine.
pub trait Reporter {
    fn progress(&mut self, progress: Progress);
    fn metric(&mut self, row: MetricRow);
    /// Reports what a program measured. A later attempt may report the same steps again.
    fn series(&mut self, change: SeriesChange) {
        let _ = change;
    }
    /// Voids metrics and checkpoints after `last_step`.
    fn rewind(&mut self, last_step: u64);
    /// Returns once the checkpoint is committed, or `Interrupted` if the engine is gone.
    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError>;
    /// Returns a handle for a thread that commits checkpoints while the attempt continues and reports.
    fn checkpoint_line(&self) -> Arc<dyn CheckpointLine> {
        Arc::new(NoLine)
    }
    fn note(&mut self, message: String);
    /// Reports that a program has started in its own process group.
    fn group(&mut self, leader: u32) {
        let _ = leader;
    }
    /// True once the engine has asked to stop. Cheap enough to call often in long loops.
    fn interrupted(&self) -> bool;
}

/// Part of the channel that any thread of the attempt may use. The engine commits earlier reports no later than the
/// checkpoint.
pub trait CheckpointLine: Send + Sync {
    /// Commits a checkpoint like [`Reporter::checkpoint`].
    fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StepError>;
}

/// Default for reporters that cannot commit in the background.
struct NoLine;

impl CheckpointLine for NoLine {
    fn checkpoint(&self, _checkpoint: Checkpoint) -> Result<(), StepError> {
        Err(Failure::fatal("a step of this kind cannot write checkpoints in the background").into())
    }
}

/// Everything that a handler works with during one attempt.
pub struct StepContext<'a> {
    pub request: &'a AttemptRequest,
    pub artifacts: &'a ArtifactStore,
    pub reporter: &'a mut dyn Reporter,
}

impl StepContext<'_> {
    /// Parses the arguments as the kind's own type.
    ///
    /// # Errors
    /// A fatal failure that names the argument of the wrong type.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        arguments(&self.request.with)
    }

    /// Durable directory of this step: survives attempts and is removed after the step has succeeded.
    pub fn scratch(&self) -> &Path {
        &self.request.scratch_dir
    }

    /// Fails with `Interrupted` once the engine has asked to stop.
    pub fn check_interrupt(&self) -> Result<(), StepError> {
        if self.reporter.interrupted() { Err(StepError::Interrupted) } else { Ok(()) }
    }

    /// Reports `done` of `total` units, unless the engine has asked to stop.
    ///
    /// # Errors
    /// `Interrupted`, like [`StepContext::check_interrupt`].
    pub fn report(&mut self, done: u64, total: u64, unit: &str, message: impl Into<String>) -> Result<(), StepError> {
        self.check_interrupt()?;
        self.reporter.progress(Progress { done, total, unit: unit.to_owned(), message: message.into() });
        Ok(())
    }

    /// Publishes `value` as indented JSON. `what` names it in errors, as in "the samples".
    ///
    /// # Errors
    /// A fatal failure when the value cannot be JSON; that of the artifact store.
    pub fn publish_json(&self, what: &str, value: &impl Serialize) -> Result<ArtifactRef, Failure> {
        let json = serde_json::to_vec_pretty(value)
            .map_err(|error| Failure::fatal(format!("cannot write {what} as JSON: {error}")))?;
        Ok(self.artifacts.put_bytes(&json, JSON)?)
    }
}

/// Failure for a fork whose checkpoint is damaged or gone. Starting over would make it a different run.
pub fn forked_from_nothing(train_step: u64) -> Failure {
    Failure::fatal(format!("the checkpoint of training step {train_step}, from which this run was forked, is unusable"))
        .with_hint("`stepwell watch` tells which file is damaged; fork at another training step, or at the whole step")
}

/// Parses `with` as the kind's own type, for `run` and `fingerprint` alike.
///
/// # Errors
/// A fatal failure that names the wrong argument.
pub fn arguments<T: DeserializeOwned>(with: &Value) -> Result<T, Failure> {
    serde_json::from_value(with.clone())
        .map_err(|error| Failure::fatal(format!("invalid arguments in `with`: {error}")))
}
