//! Recovery at startup: nothing that an earlier engine left may keep running, neither in the tables nor among the
//! processes.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::executors::{Attempt, AttemptId, Executor, Sweep};
use stepwell_artifact::Attempts;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_run::command::Command;
use stepwell_run::decide::to_retry;
use stepwell_run::event::{ReleaseCause, StepEventKind};
use stepwell_run::request::Request;
use stepwell_run::retry::MAXIMUM_LOSSES_IN_A_ROW;
use stepwell_run::state::Lease;
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{RUNS_DIR, Reader, RunRow, RunRows, Unreadable, scratch_dir};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::cleanup::janitor::remove_folder;
use crate::engine::state::attempts::Running;
use crate::error::EngineError;
use crate::options::{Scope, Start};

/// Number of ended runs whose scratch directories every engine checks.
const SWEPT_AT_LEAST: usize = 100;

/// Fate of attempts that have outlived an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Adopt,
    End,
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Loads the runs to drive and releases every lease of an earlier engine, including leases of other runs.
    ///
    /// # Errors
    /// `StillRunning` or `RunStillRunning` when a process of an earlier attempt cannot be ended.
    pub(crate) fn recover(&mut self) -> Result<(), EngineError> {
        let RunRows { readable: mut rows, unreadable } = self.store.reader().open_runs()?;
        for Unreadable { id, why, .. } in unreadable {
            if let Ok(run) = id.parse() {
                self.set_aside(run, &why);
                self.end_processes_of(run)?;
            }
        }
        if let Scope::Run(id) = self.options.scope {
            // An unknown run is an error before anything else happens.
            let wanted = self.store.reader().run(id)?;
            if wanted.stored_status.is_terminal() {
                rows.push(wanted);
            }
        }
        let requests = self.store.reader().pending_requests()?.into_iter();
        let cancels = requests.filter_map(|row| row.asked.ok()).filter(|(_, request)| *request == Request::Cancel);
        let canceled: Vec<RunId> = cancels.map(|(run, _)| run).collect();
        for row in rows {
            let wanted = match self.options.scope {
                Scope::Run(id) => id == row.id,
                Scope::All { .. } => !row.stored_status.is_terminal(),
                Scope::Requests => false,
            };
            let left_behind = match row.stored_status {
                RunStatus::Running | RunStatus::Canceling => true,
                RunStatus::Paused => self.store.reader().has_lease(row.id)?,
                _ => false,
            };
            if wanted || left_behind {
                self.take_over(&row, wanted, canceled.contains(&row.id))?;
            }
        }
        self.flush()?;
        // Only now are the writers of an earlier engine dead, apart from attempts elsewhere.
        let all_dead = self.attempts.is_empty();
        if all_dead {
            self.artifacts.clean_temp()?;
        }
        // After a full disk, a clean-up may still rely on the notes.
        if all_dead && !self.clean_ups.is_busy() {
            self.artifacts.forget_holds(Attempts::Ended)?;
        }
        self.sweep_scratch();
        Ok(())
    }

    fn take_over(&mut self, row: &RunRow, wanted: bool, canceled: bool) -> Result<(), EngineError> {
        match self.load(row.id) {
            Err(EngineError::Store(error)) if error.concerns_one_run() && self.options.scope != Scope::Run(row.id) => {
                self.set_aside(row.id, &error.to_string());
                return self.end_processes_of(row.id);
            }
            loaded => loaded?,
        }
        let continues = wanted && !canceled && row.stored_status == RunStatus::Running;
        self.release_leases(row.id, if continues { Fate::Adopt } else { Fate::End })?;
        let paused = row.stored_status == RunStatus::Paused;
        // A poison step may have just ended the run; only a person may resume it.
        let ended_now =
            !row.stored_status.is_terminal() && self.runs.get(&row.id).is_some_and(|r| r.state.end.is_some());
        if wanted && !canceled && !ended_now {
            match self.options.start.clone() {
                Start::Retry { step } => self.retry(row.id, step)?,
                Start::GoOn if paused => {}
                Start::GoOn | Start::Resume => self.handle(row.id, Command::Resume),
            }
        } else if !wanted && row.stored_status == RunStatus::Running {
            self.handle(row.id, Command::Interrupt { reason: "the engine that ran it died".to_owned() });
        }
        self.flush()?;
        if !wanted {
            self.runs.remove(&row.id);
        }
        Ok(())
    }

    /// Ends all processes that carry the id of an unreadable run, because its attempts are unknown.
    fn end_processes_of(&self, run: RunId) -> Result<(), EngineError> {
        let survivors = self.executor.end_run(run);
        if survivors.is_empty() { Ok(()) } else { Err(EngineError::RunStillRunning { run, pids: survivors }) }
    }

    fn retry(&mut self, run: RunId, step: Option<StepId>) -> Result<(), EngineError> {
        if let Some(active) = self.runs.get(&run) {
            to_retry(&active.state, step.as_ref()).map_err(|why| EngineError::Refused { run, why })?;
        }
        self.handle(run, Command::Retry { step });
        Ok(())
    }

    /// Gives back the leases of an earlier engine, except those of attempts that outlived it and continue.
    fn release_leases(&mut self, run: RunId, fate: Fate) -> Result<(), EngineError> {
        let Some(active) = self.runs.get(&run) else { return Ok(()) };
        let leased = active.state.leases();
        let leased: Vec<_> = leased.map(|(s, lease)| (s.id.clone(), lease.clone(), s.attempts - s.failures)).collect();
        if let Some((step, ..)) = leased.first() {
            // A stopped worker has not noticed yet that its engine is gone.
            let survivors = self.executor.end_workers(&self.options.state_dir);
            if !survivors.is_empty() {
                return Err(EngineError::StillRunning { run, step: step.clone(), pids: survivors });
            }
        }
        for (step, lease, released) in leased {
            let id = AttemptId { run, step: step.clone(), fence: lease.fence };
            let adopted = self.executor.adopt(&id);
            let adopted = adopted.map_err(|why| EngineError::RunsElsewhere { run, step: step.clone(), why })?;
            let survivors = match (adopted, fate) {
                (Some(attempt), Fate::Adopt) => {
                    self.continue_attempt(id, attempt, &lease);
                    continue;
                }
                (Some(mut attempt), Fate::End) => attempt.reap(Sweep::GroupAndMarked).survivors,
                (None, _) => self.executor.end_leftovers(&id, lease.process.as_ref()),
            };
            if !survivors.is_empty() {
                return Err(EngineError::StillRunning { run, step, pids: survivors });
            }
            if released >= MAXIMUM_LOSSES_IN_A_ROW {
                self.restore_losses(run, &step)?;
            }
            self.release(run, step, lease.fence);
        }
        Ok(())
    }

    /// Takes an attempt of an earlier engine as it is: same lease, same fence, same place.
    fn continue_attempt(&mut self, id: AttemptId, attempt: Box<dyn Attempt>, lease: &Lease) {
        let AttemptId { run, step, fence } = id.clone();
        let Some(active) = self.runs.get(&run) else { return };
        let number = active.state.step(&step).map_or(0, |step| step.attempts);
        let executors = &self.options.limits.executors;
        let class = active.state.step(&step).map(|step| active.state.class(active.state.class_of(step)));
        let executor = class.and_then(|class| executors.of(class)).map(str::to_owned);
        let running = Running { executor, adopted: true, ..Running::new(attempt, number, lease.resources.clone()) };
        self.attempts.insert(id, running);
        self.handle(run, Command::Heartbeat { step: step.clone(), fence });
        let message = "a new engine continues this attempt".to_owned();
        self.handle(run, Command::Note { step, fence, message });
    }

    fn release(&mut self, run: RunId, step: StepId, fence: Fence) {
        let reason = "the engine that ran this attempt died".to_owned();
        self.handle(run, Command::Release { step, fence, cause: ReleaseCause::EngineDied, reason });
    }

    /// Restores the number of lost attempts in a row. Only a step with many releases needs this.
    fn restore_losses(&mut self, run: RunId, step: &StepId) -> Result<(), EngineError> {
        let mut losses = 0;
        self.store.reader().each_event_of_step_newest_first(run, step, |row| {
            match row.event.step_kind() {
                Some(StepEventKind::AttemptReleased { reason, cause })
                    if ReleaseCause::recorded(*cause, reason) == ReleaseCause::EngineDied =>
                {
                    losses += 1;
                }
                Some(StepEventKind::CheckpointCommitted { .. } | StepEventKind::Failed { .. }) => {
                    return ControlFlow::Break(());
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        if let Some(active) = self.runs.get_mut(&run) {
            active.state.restore_losses(step, losses);
        }
        Ok(())
    }

    /// Removes scratch directories of succeeded steps whose engine died first. It always checks the newest runs, and
    /// the others, which may be very many, until the engine ends.
    fn sweep_scratch(&mut self) {
        let state_dir = self.options.state_dir.clone();
        self.janitor.perform(move |ending| {
            let Ok(reader) = Reader::open(&state_dir) else { return };
            let (Ok(open), Ok(ended)) = (reader.open_runs(), reader.ended_runs(SWEPT_AT_LEAST)) else { return };
            for row in open.readable.iter().chain(&ended.readable) {
                sweep_run(&reader, &state_dir, row.id);
            }
            let older = names(&state_dir.join(RUNS_DIR)).take_while(|_| !ending.load(Ordering::Relaxed));
            older.filter_map(|name| name.parse().ok()).for_each(|run| sweep_run(&reader, &state_dir, run));
        });
    }
}

fn sweep_run(reader: &Reader, state_dir: &Path, run: RunId) {
    for step in names(&state_dir.join(RUNS_DIR).join(run.to_string())).map(StepId) {
        let scratch = scratch_dir(state_dir, run, &step);
        // The database does not know this step, so its folder is not ours to touch.
        let over = || matches!(reader.step_status(run, &step), Ok(Some(StepStatus::Succeeded)));
        if scratch.is_dir() && over() {
            remove_folder(&scratch);
        }
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
