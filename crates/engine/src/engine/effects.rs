//! Performs the effects of committed decisions.

use std::fs;
use std::path::PathBuf;

use walkdir::WalkDir;

use crate::executors::{AttemptId, Executor, Launch};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::{AttemptRequest, ToAttempt};
use stepwell_run::command::{Command, Effect};
use stepwell_run::state::{Lease, Step, StepState};
use stepwell_store::{scratch_dir, set_aside_dir};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::cleanup::janitor::remove_folder;
use crate::engine::state::attempts::Prepared;
use crate::engine::state::attempts::{ASKED_TO_STOP, EXIT_GRACE, Ending, INTERRUPT_GRACE, Running};
use crate::error::EngineError;

/// Attempt number of a checkpoint that another run made.
const ADOPTED: u32 = 0;

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    pub(crate) fn perform(&mut self, run: RunId, effect: Effect) -> Result<(), EngineError> {
        let instant = self.clock.instant();
        match effect {
            Effect::Start { step, fence } => self.start(AttemptId { run, step, fence })?,
            Effect::AcknowledgeCheckpoint { step, fence } => {
                if let Some(running) = self.attempts.get_mut(&AttemptId { run, step, fence }) {
                    running.handle.send(&ToAttempt::CheckpointCommitted);
                }
            }
            Effect::Interrupt { step, fence } => {
                if let Some(running) = self.attempts.get_mut(&AttemptId { run, step, fence })
                    && running.kill_at.is_none()
                {
                    running.handle.send(&ToAttempt::Interrupt);
                    running.interrupted = true;
                    running.kill_by(instant + INTERRUPT_GRACE);
                }
            }
            // A lease without a process only needs to be released.
            Effect::Kill { step, fence, failure }
                if !self.attempts.has(&AttemptId { run, step: step.clone(), fence }) =>
            {
                self.handle(run, Command::Fail { step, fence, failure });
            }
            Effect::Cancel { step, fence } if !self.attempts.has(&AttemptId { run, step: step.clone(), fence }) => {
                self.handle(run, Command::Killed { step, fence });
            }
            Effect::Kill { step, fence, failure } => {
                if let Some(running) = self.attempts.get_mut(&AttemptId { run, step, fence }) {
                    let ending = match &self.stopping {
                        Some(stop) => Ending::Release(stop.reason.clone()),
                        None if running.interrupted => Ending::Release(ASKED_TO_STOP.to_owned()),
                        None => Ending::Fail(failure),
                    };
                    running.ending.get_or_insert(ending);
                    running.silenced = true;
                    running.handle.kill();
                }
            }
            Effect::Cancel { step, fence } => {
                if let Some(running) = self.attempts.get_mut(&AttemptId { run, step, fence }) {
                    running.ending = Some(Ending::Cancel);
                    running.handle.terminate();
                    running.kill_by(instant + EXIT_GRACE);
                }
            }
            Effect::CancelRun { run: child } => {
                // A step that waits for an unreadable run ends without it.
                if self.load_readable(child)?.is_ok() {
                    self.handle(child, Command::Cancel);
                }
            }
            // `Engine::handle` adds lease extensions to the commit.
            Effect::ExtendLease { .. } => {}
        }
        Ok(())
    }

    fn start(&mut self, id: AttemptId) -> Result<(), EngineError> {
        if !self.prepared.contains_key(&id) {
            // The step was attempted inline.
            return Ok(());
        }
        let Some(launch) = self.launch(&id)? else {
            self.pace.claim_again();
            return Ok(());
        };
        let number = launch.request.attempt;
        let (resources, executor) = (launch.resources.clone(), launch.executor.clone());
        match self.executor.start(launch) {
            Ok(handle) => {
                if let Some(process) = handle.process() {
                    let process = process.clone();
                    self.handle(id.run, Command::Spawned { step: id.step.clone(), fence: id.fence, process });
                }
                let running = Running { executor, ..Running::new(handle, number, resources) };
                self.attempts.insert(id, running);
            }
            Err(failure) => self.fail(id, failure),
        }
        Ok(())
    }

    /// Builds the launch of a prepared attempt; `None` when the fence no longer holds the lease.
    pub(crate) fn launch(&mut self, id: &AttemptId) -> Result<Option<Launch>, EngineError> {
        let Some(Prepared { with, secrets, fingerprint, executor }) = self.prepared.remove(id) else { return Ok(None) };
        let Some(run) = self.runs.get(&id.run) else { return Ok(None) };
        let Some((step, lease, key)) = leased(run.state.step(&id.step), id.fence) else { return Ok(None) };
        let attempt = step.attempts;
        let forked_at = run.forked_at(&id.step);
        let some = attempt > 1 || forked_at.is_some();
        let checkpoints = if some { self.checkpoints(id.run, step)? } else { Vec::new() };
        // The commit of this attempt has written everything that earlier ones reported.
        let measured_up_to = if attempt > 1 { self.store.reader().measured_up_to(id.run, &id.step)? } else { None };
        let spec = run.state.step_spec(step);
        let request = AttemptRequest {
            run: id.run,
            run_name: run.name.clone(),
            step: id.step.clone(),
            kind: spec.kind.clone(),
            attempt,
            fence: id.fence,
            key,
            with,
            secrets,
            fingerprint,
            state_dir: self.options.state_dir.clone(),
            scratch_dir: scratch_dir(&self.options.state_dir, id.run, &id.step),
            project_dir: run.project_folder().to_owned(),
            checkpoints,
            forked_at,
            measured_up_to,
        };
        Ok(Some(Launch { request, heartbeat: spec.timeout.heartbeat, resources: lease.resources.clone(), executor }))
    }

    /// Returns committed checkpoints of attempts with the step's key, newest first. The checkpoint of a fork comes
    /// last, because it has another key and no attempt.
    fn checkpoints(&self, run: RunId, step: &Step) -> Result<Vec<Checkpoint>, EngineError> {
        let mut rows = self.store.reader().checkpoints(run, &step.id)?;
        // A rewind voids checkpoints by training step. For checkpoints without one, the attempt number decides.
        if rows.iter().any(|row| row.checkpoint.last_step.is_none()) {
            let first = self.store.reader().first_attempt_with_key(run, &step.id)?.unwrap_or(step.attempts);
            rows.retain(|row| row.attempt >= first || row.attempt == ADOPTED);
        }
        Ok(rows.into_iter().map(|row| row.checkpoint).collect())
    }

    /// Removes the data that a step keeps for its next attempt, once the step succeeds.
    /// Moves the scratch files of a step out of the way of its next attempt: they may be hours of a person's work.
    /// Returns their new place; `None` if there are none.
    pub(crate) fn move_scratch_away(&self, run: RunId, step: &StepId) -> Option<PathBuf> {
        let scratch = scratch_dir(&self.options.state_dir, run, step);
        let aside = set_aside_dir(&self.options.state_dir, run, step);
        if !WalkDir::new(&scratch).into_iter().flatten().any(|entry| entry.file_type().is_file()) {
            remove_folder(&scratch);
            return None;
        }
        remove_folder(&aside);
        // No failpoint: what cannot be moved is removed, as the next attempt needs.
        if fs::rename(&scratch, &aside).is_err() {
            remove_folder(&scratch);
            return None;
        }
        Some(aside)
    }
}

fn leased(step: Option<&Step>, fence: Fence) -> Option<(&Step, &Lease, StepKey)> {
    let step = step?;
    match &step.state {
        StepState::Leased(lease) if lease.fence == fence => Some((step, lease, step.key.clone()?)),
        _ => None,
    }
}
