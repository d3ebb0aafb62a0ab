//! Full disk: the engine interrupts every run, waits for space and then resumes by itself. A person may free space,
//! cancel a run or stop the engine meanwhile, but does not have to.

use crate::executors::{AttemptId, Executor};
use stepwell_artifact::free_bytes;
use stepwell_base::ids::RunId;
use stepwell_run::status::RunStatus;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::recovery::backoff::{Backoff, LOOK};
use crate::engine::recovery::disk;
use crate::engine::scheduling::accounts::Accounts;
use crate::engine::scheduling::family::Family;
use crate::engine::state::pending::Pending;
use crate::engine::stop::{Stop, stopped};
use crate::error::EngineError;
use crate::inbox::{Inbox, Message};
use crate::options::{Outcome, Scope, SpaceWait};

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    pub(crate) fn lacks_space(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stop| stop.until_free.is_some())
    }

    /// Waits until there is space, then clears the memory for another start from the database. A returned outcome means
    /// that the engine ends instead.
    pub(crate) fn wait_for_space(
        &mut self,
        inbox: &Inbox,
        backoff: &mut Backoff,
    ) -> Result<Option<Outcome>, EngineError> {
        disk::release(&self.options.state_dir);
        let since = self.clock.instant();
        let pause = backoff.next(since);
        let wait = self.space_wait();
        self.observer.waiting_for_space(&wait);
        while self.clock.instant().duration_since(since) < pause || self.space_wait().free_bytes < wait.needed_bytes {
            match self.clock.receive(&inbox.receiver, Some(LOOK)) {
                Some(Message::Signal(signal)) => {
                    self.stopping = Some(Stop::for_signal(signal));
                    return Ok(Some(Outcome::Interrupted));
                }
                Some(Message::Wake) => {
                    self.answer_without_space()?;
                    self.take_clean_up();
                    if let Some(end) = self.end_of_the_run() {
                        return Ok(Some(end));
                    }
                }
                Some(Message::CleanUp(progress)) => {
                    self.on_clean_up(progress);
                    self.clean_up_without_space()?;
                }
                Some(Message::Warning(text)) => self.observer.warn(&text),
                // Nothing can be committed now, so the end is told again.
                Some(Message::Told { end, problem }) => self.on_told(end, problem),
                // No attempt is left, so its report is stale.
                Some(Message::Attempt(..)) | None => {}
            }
        }
        self.clear_memory();
        self.stopping = None;
        backoff.resume(self.clock.instant());
        Ok(None)
    }

    fn space_wait(&self) -> SpaceWait {
        let path = self.options.state_dir.clone();
        let stop = self.stopping.as_ref();
        SpaceWait {
            reason: stop.map(|stop| stop.reason.clone()).unwrap_or_default(),
            needed_bytes: stop.and_then(|stop| stop.until_free).unwrap_or_default(),
            // Without a reading, the engine retries after each pause.
            free_bytes: free_bytes(&path).unwrap_or(u64::MAX),
            path,
        }
    }

    /// Answers requests during the wait. A cancel fits into the space that the reserve has freed; otherwise it waits
    /// too.
    fn answer_without_space(&mut self) -> Result<(), EngineError> {
        match self.answer_requests().and_then(|()| self.flush()) {
            Err(error) if error.is_no_space() => {
                self.clear_memory();
                Ok(())
            }
            other => other,
        }
    }

    /// A clean-up makes space. Its commit fits into what the reserve has freed; otherwise it waits too.
    fn clean_up_without_space(&mut self) -> Result<(), EngineError> {
        match self.continue_clean_up() {
            Err(error) if error.is_no_space() => {
                self.clear_memory();
                Ok(())
            }
            other => other,
        }
    }

    /// Records the interruption after a commit that did not fit, in the space that the reserve frees. If even that
    /// fails, the next start finds the same state and recovers it. The caller has killed all attempts; `alive` lists
    /// those that are not proved dead.
    ///
    /// # Errors
    /// Returns `error` unless it reports lack of space and this engine may wait.
    pub(crate) fn interrupt_on_full_disk(
        &mut self,
        error: EngineError,
        alive: &[AttemptId],
    ) -> Result<(), EngineError> {
        if !error.is_no_space() || self.options.scope == Scope::Requests {
            return Err(error);
        }
        disk::release(&self.options.state_dir);
        self.clear_memory();
        self.stopping = Some(Stop::for_full_disk(&error, error.needed_bytes()));
        match self.write_down_interruption(alive) {
            Err(again) if again.is_no_space() => Ok(()),
            other => other,
        }
    }

    fn write_down_interruption(&mut self, alive: &[AttemptId]) -> Result<(), EngineError> {
        for row in
            self.store.reader().open_runs()?.readable.into_iter().filter(|row| row.stored_status == RunStatus::Running)
        {
            if self.load_readable(row.id)?.is_ok() {
                self.release_all(row.id, alive);
            }
        }
        self.interrupt_runs();
        self.flush()
    }

    /// Releases every lease except those of `alive` attempts: the next recovery proves them dead or refuses to start.
    fn release_all(&mut self, run: RunId, alive: &[AttemptId]) {
        let (Some(active), Some(stop)) = (self.runs.get(&run), self.stopping.clone()) else { return };
        let leases =
            active.state.leases().map(|(step, lease)| AttemptId { run, step: step.id.clone(), fence: lease.fence });
        let leases: Vec<AttemptId> = leases.filter(|id| !alive.contains(id)).collect();
        for AttemptId { step, fence, .. } in leases {
            self.handle(run, stopped(step, fence, stop.reason.clone()));
        }
    }

    fn clear_memory(&mut self) {
        self.runs.clear();
        self.family = Family::default();
        self.prepared.clear();
        self.accounts = Accounts::default();
        self.pending = Pending::default();
    }
}
