//! The loop: claim, commit, act, listen.

use stepwell_base::ids::RunId;
use stepwell_run::state::{Lifecycle, RunEnd};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::recovery::backoff::Backoff;
use crate::engine::recovery::disk;
use crate::error::EngineError;
use crate::executors::Executor;
use crate::inbox::{CAPACITY, Inbox};
use crate::options::{Outcome, Scope};

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    pub(super) fn drive(&mut self, inbox: &Inbox) -> Result<Outcome, EngineError> {
        let mut backoff = Backoff::new(self.clock.instant());
        loop {
            match self.run(inbox) {
                Ok(Outcome::Interrupted) if self.lacks_space() => {}
                Ok(outcome) => return Ok(outcome),
                Err(error) => {
                    let alive = self.kill_all_attempts();
                    self.interrupt_on_full_disk(error, &alive)?;
                }
            }
            if let Some(outcome) = self.wait_for_space(inbox, &mut backoff)? {
                return Ok(outcome);
            }
        }
    }

    fn run(&mut self, inbox: &Inbox) -> Result<Outcome, EngineError> {
        disk::reserve(&self.options.state_dir)?;
        self.recover()?;
        self.rate_windows.restore(self.store.reader(), &self.options.limits, self.clock.wall())?;
        self.answer_requests()?;
        self.take_clean_up();
        self.load_schedules()?;
        self.tell_earlier_ends()?;
        // A step whose time ran out while no engine ran must not be claimed.
        self.check_clock();
        loop {
            if self.lock.is_removed() {
                return Err(EngineError::StateRemoved { path: self.options.state_dir.clone() });
            }
            self.round_at = self.clock.now();
            self.fire_schedules()?;
            self.check_budgets()?;
            self.schedule_steps()?;
            self.flush()?;
            self.forget_ended_runs();
            self.continue_clean_up()?;
            if let Some(outcome) = self.outcome() {
                self.flush_all()?;
                self.finish_notices(inbox)?;
                self.discard_rest()?;
                return Ok(outcome);
            }
            self.listen(inbox)?;
            self.check_clock();
            self.interrupt_runs();
        }
    }

    /// Waits for a message and takes all that have arrived, so that they share one commit. The number is bounded, so
    /// busy workers cannot delay the commit forever.
    pub(crate) fn listen(&mut self, inbox: &Inbox) -> Result<(), EngineError> {
        // This engine holds a sender itself, so the inbox cannot be disconnected.
        let limit = self.time_to_wait();
        let Some(message) = self.clock.receive(&inbox.receiver, limit) else { return Ok(()) };
        self.on_message(message)?;
        inbox.receiver.try_iter().take(CAPACITY).try_for_each(|message| self.on_message(message))
    }

    /// Returns `None` while there is something to do or to wait for.
    fn outcome(&mut self) -> Option<Outcome> {
        if !self.attempts.is_empty() || !self.family.is_settled() {
            return None;
        }
        if let Some(end) = self.end_of_the_run() {
            return Some(end);
        }
        match self.options.scope {
            _ if self.stopping.is_some() => Some(Outcome::Interrupted),
            Scope::Run(id) if self.is_paused(id) => Some(Outcome::Paused),
            Scope::All { exit_when_idle: true } if self.runs.is_idle(self.round_at) => Some(Outcome::Idle),
            Scope::Requests => Some(Outcome::Idle),
            Scope::All { .. } | Scope::Run(_) => None,
        }
    }

    /// Outcome of the run that this engine drives, once the run has ended.
    pub(crate) fn end_of_the_run(&self) -> Option<Outcome> {
        let Scope::Run(id) = self.options.scope else { return None };
        Some(match self.runs.get(&id)?.state.end.as_ref()? {
            RunEnd::Succeeded => Outcome::Succeeded,
            RunEnd::Failed { .. } => Outcome::Failed,
            RunEnd::Canceled => Outcome::Canceled,
        })
    }

    fn is_paused(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| run.state.lifecycle == Lifecycle::Paused)
    }

    /// Drops ended runs, so that the memory of an engine that serves for months does not grow.
    pub(crate) fn forget_ended_runs(&mut self) {
        let wanted = match self.options.scope {
            Scope::Run(id) => Some(id),
            Scope::All { .. } | Scope::Requests => None,
        };
        for id in self.runs.ended(self.round_at) {
            if Some(id) == wanted || self.attempts.of_run(id) {
                continue;
            }
            self.forget(id);
        }
    }

    pub(crate) fn forget(&mut self, id: RunId) {
        let ancestors = self.runs.remove(&id).map(|run| run.ancestors).unwrap_or_default();
        self.accounts.close(id);
        let gone = ancestors.into_iter().filter(|ancestor| !self.runs.contains_key(ancestor));
        gone.for_each(|ancestor| self.accounts.close(ancestor));
    }
}
