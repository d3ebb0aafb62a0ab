//! A full disk: everything is interrupted, then the engine waits and goes on by itself. Nobody has to be
//! awake for it, and whoever is may free some space, cancel, or stop the engine.

use std::time::{Duration, Instant};

use crate::executors::{AttemptId, Executor};
use stepwell_artifact::free_bytes;
use stepwell_base::ids::RunId;
use stepwell_run::status::RunStatus;

use super::accounts::Accounts;
use super::children::Family;
use super::clock::Clock;
use super::commit::Pending;
use super::disk;
use super::drive::Engine;
use super::error::EngineError;
use super::inbox::{Inbox, Message};
use super::options::{Outcome, Scope, SpaceWait};
use super::stop::{Stop, stopped};

/// How often free space is looked at, only while it is waited for.
const LOOK: Duration = Duration::from_secs(1);
/// Some lacks cannot be seen from free space, such as a quota: those are tried again after a pause that
/// doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Work for this long means that there was space.
const WORKED: Duration = Duration::from_secs(300);

/// Shortest pause before the next try.
pub(super) struct Backoff {
    pause: Duration,
    resumed: Instant,
}

impl Backoff {
    pub(super) fn new(now: Instant) -> Backoff {
        Backoff { pause: LOOK, resumed: now }
    }

    fn next(&mut self, now: Instant) -> Duration {
        if now.duration_since(self.resumed) > WORKED {
            self.pause = LOOK;
        }
        let pause = self.pause;
        self.pause = (2 * pause).min(LONGEST_PAUSE);
        pause
    }
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    pub(super) fn lacks_space(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stop| stop.until_free.is_some())
    }

    /// Waits until there is space, then clears the memory for another start from the database. An outcome
    /// means that the engine ends instead.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) fn wait_for_space(
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
                    if let Some(end) = self.end_of_the_run() {
                        return Ok(Some(end));
                    }
                }
                Some(Message::Warning(text)) => self.observer.warn(&text),
                // No attempt is left.
                Some(Message::Attempt(..)) | None => {}
            }
        }
        self.forget_everything();
        self.stopping = None;
        backoff.resumed = self.clock.instant();
        Ok(None)
    }

    fn space_wait(&self) -> SpaceWait {
        let path = self.options.state_dir.clone();
        let stop = self.stopping.as_ref();
        SpaceWait {
            reason: stop.map(|stop| stop.reason.clone()).unwrap_or_default(),
            needed_bytes: stop.and_then(|stop| stop.until_free).unwrap_or_default(),
            // A file system that does not say is tried after each pause.
            free_bytes: free_bytes(&path).unwrap_or(u64::MAX),
            path,
        }
    }

    /// What is asked of the engine meanwhile. A cancel fits into what the reserve has left; if it does not,
    /// it waits as well.
    fn answer_without_space(&mut self) -> Result<(), EngineError> {
        match self.look_for_requests().and_then(|()| self.flush()) {
            Err(error) if error.is_no_space() => {
                self.forget_everything();
                Ok(())
            }
            other => other,
        }
    }

    /// The commit that did not fit has not happened. With the reserve given back there is room to say so;
    /// if even that fails, the next start finds the same state and recovers it. All attempts are dead.
    ///
    /// # Errors
    /// The error itself, unless it is for lack of space and this engine may wait.
    pub(super) fn interrupt_on_full_disk(
        &mut self,
        error: EngineError,
        alive: &[AttemptId],
    ) -> Result<(), EngineError> {
        if !error.is_no_space() || self.options.scope == Scope::Requests {
            return Err(error);
        }
        disk::release(&self.options.state_dir);
        self.forget_everything();
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

    /// A lease whose attempt is `alive` stays: the next recovery proves the attempt dead, or refuses to start.
    fn release_all(&mut self, run: RunId, alive: &[AttemptId]) {
        let (Some(active), Some(stop)) = (self.runs.get(&run), self.stopping.clone()) else { return };
        let leases =
            active.state.leases().map(|(step, lease)| AttemptId { run, step: step.id.clone(), fence: lease.fence });
        let leases: Vec<AttemptId> = leases.filter(|id| !alive.contains(id)).collect();
        for AttemptId { step, fence, .. } in leases {
            self.handle(run, stopped(step, fence, stop.reason.clone()));
        }
    }

    fn forget_everything(&mut self) {
        self.runs.clear();
        self.family = Family::default();
        self.prepared.clear();
        self.accounts = Accounts::default();
        self.pending = Pending::default();
    }
}
