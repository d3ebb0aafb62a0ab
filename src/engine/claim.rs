//! Gives out ready steps: resolves their arguments, computes their key, reuses what is done, and
//! leases the rest.

use serde_json::{Map, Value};

use crate::core::artifact::{ArtifactRef, Outputs};
use crate::core::catalog::Placement;
use crate::core::decide::Command;
use crate::core::failure::Failure;
use crate::core::ids::{Fence, RunId, StepId};
use crate::core::key::step_key;
use crate::core::provenance::FINGERPRINT;
use crate::core::schedule::next_claim;
use crate::core::state::Step;
use crate::core::template::{self, TemplateError};
use crate::core::wait::AtClaim;
use crate::executors::AttemptId;
use crate::steps::{StepHandler, find};

use super::drive::Engine;
use super::error::EngineError;
use super::run::Run;

/// Attempts on the engine's own thread between two commits, which they share.
const IN_PROCESS_SLOTS: usize = 256;
/// Steps decided about between two commits; more would delay everything else.
const BATCH: usize = 1024;

/// What is decided about a ready step.
enum Plan {
    Command(Command),
    Attempt {
        command: Command,
        with: Value,
        inputs_changed: bool,
    },
    /// A child run with these params.
    Child {
        params: Map<String, Value>,
    },
}

impl Engine<'_> {
    /// Fills the free slots.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn claim(&mut self) -> Result<(), EngineError> {
        if self.stopping.is_some() {
            return Ok(());
        }
        let runs: Vec<RunId> = self.runs.keys().copied().filter(|run| self.drives(*run)).collect();
        for placement in [Placement::InProcess, Placement::Child] {
            let slots = match placement {
                Placement::InProcess => IN_PROCESS_SLOTS,
                Placement::Child => self.options.slots.max(1),
            };
            let mut free = slots.saturating_sub(self.attempts.working(placement));
            let mut decided = 0;
            for &run in &runs {
                while free > 0 && decided < BATCH && self.claim_next(run, placement, &mut free)? {
                    decided += 1;
                }
            }
        }
        Ok(())
    }

    /// Decides about the next ready step of a run; false when there is none.
    fn claim_next(&mut self, run: RunId, placement: Placement, free: &mut usize) -> Result<bool, EngineError> {
        let now = self.clock.now();
        let Some(active) = self.runs.get(&run) else { return Ok(false) };
        let Some(step) = next_claim(&active.state, placement, now) else { return Ok(false) };
        let (id, fence) = (step.id.clone(), Fence(step.fence.0 + 1));
        match self.plan(active, step)? {
            Plan::Command(command) => self.handle(run, command),
            Plan::Child { params } => self.start_child(run, id, &params)?,
            Plan::Attempt { command, with, inputs_changed } => {
                *free -= 1;
                self.prepared.insert(AttemptId { run, step: id.clone(), fence }, with);
                self.handle(run, command);
                if inputs_changed {
                    self.start_over(run, id, fence);
                }
            }
        }
        Ok(true)
    }

    /// Checkpoints and scratch files of other inputs must not leak into this attempt.
    fn start_over(&mut self, run: RunId, step: StepId, fence: Fence) {
        let message = "the inputs have changed since the last attempt: starting from the beginning".to_owned();
        self.handle(run, Command::Note { step: step.clone(), fence, message });
        self.handle(run, Command::Rewind { step: step.clone(), fence, last_step: 0 });
        self.clean(run, &step);
    }

    fn plan(&self, run: &Run, step: &Step) -> Result<Plan, EngineError> {
        let spec = run.state.step_spec(step);
        let id = step.id.clone();
        let reject = |failure| Ok(Plan::Command(Command::Reject { step: id.clone(), failure }));
        if step.parent.is_none() {
            if let Some(condition) = &spec.when {
                match run.with_context(step, |context| template::condition(condition, context)) {
                    Ok(true) => {}
                    Ok(false) => {
                        let reason = format!("`when` is false: {condition}");
                        return Ok(Plan::Command(Command::Skip { step: id, reason }));
                    }
                    Err(error) => return reject(explain(&error)),
                }
            }
            if let Some(list) = &spec.for_each {
                return match run.with_context(step, |context| template::items(list, context)) {
                    Ok(items) => Ok(Plan::Command(Command::Expand { step: id, items })),
                    Err(error) => reject(explain(&error)),
                };
            }
        }
        let Some(handler) = find(&spec.kind) else {
            let failure = Failure::fatal(format!("this build has no step kind `{}`", spec.kind));
            return reject(failure.with_hint("build with the feature that has it, such as `--features flex`"));
        };
        let resolved = run.with_context(step, |context| template::resolve(&spec.with, context));
        let with = match resolved {
            Ok(with) => with,
            Err(error) => return reject(explain(&error)),
        };
        match handler.at_claim(&with) {
            Ok(Some(AtClaim::Wait(wait))) => return Ok(Plan::Command(Command::Wait { step: id, wait })),
            Ok(Some(AtClaim::Rule { ruling, on_false })) => {
                return Ok(Plan::Command(Command::Rule { step: id, ruling, on_false }));
            }
            Ok(Some(AtClaim::StartChild { params })) => return Ok(Plan::Child { params }),
            Ok(None) => {}
            Err(failure) => return reject(failure),
        }
        let fingerprint = match handler.fingerprint(&with) {
            Ok(fingerprint) => fingerprint,
            Err(failure) => return reject(failure),
        };
        self.plan_attempt(step, handler, with, &fingerprint)
    }

    fn plan_attempt(
        &self,
        step: &Step,
        handler: &dyn StepHandler,
        with: Value,
        fingerprint: &Value,
    ) -> Result<Plan, EngineError> {
        let id = step.id.clone();
        let key = step_key(handler.kind(), handler.version(), &with, fingerprint);
        let mut recorded = with.clone();
        if let (Value::Object(arguments), false) = (&mut recorded, fingerprint.is_null()) {
            arguments.insert(FINGERPRINT.to_owned(), fingerprint.clone());
        }
        if self.options.reuse
            && handler.reusable(&with)
            && let Some((from, outputs)) = self.store.find_reusable(&key)?
            && self.is_present(&outputs)
        {
            return Ok(Plan::Command(Command::Reuse { step: id, key, with: recorded, from, outputs }));
        }
        let inputs_changed = step.key.as_ref().is_some_and(|earlier| *earlier != key);
        Ok(Plan::Attempt { command: Command::Claim { step: id, key, with: recorded }, with, inputs_changed })
    }

    /// Whether all files of earlier outputs are still there; their content is verified when it is read.
    fn is_present(&self, outputs: &Outputs) -> bool {
        outputs.artifacts.values().all(|artifact| self.has_files(artifact))
    }

    fn has_files(&self, artifact: &ArtifactRef) -> bool {
        let path = self.artifacts.blob_path(&artifact.digest);
        let whole = path.metadata().is_ok_and(|metadata| metadata.len() == artifact.size);
        let entries =
            || self.artifacts.read_tree(artifact).is_ok_and(|t| t.entries.values().all(|e| self.has_files(e)));
        whole && (!artifact.is_tree() || entries())
    }
}

fn explain(error: &TemplateError) -> Failure {
    let failure = Failure::fatal(error.to_string());
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
