//! Clean-ups that other processes ask for, one after the other. A thread chooses runs and removes files; only this thread
//! writes rows, so nothing that it has decided can refer to a run that goes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use stepwell_artifact::{ArtifactStore, Attempts};
use stepwell_base::error_chain::error_chain;
use stepwell_base::ids::RunId;
use stepwell_store::{Batch, Reader, StoreError};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::executors::Executor;
use crate::inbox::Message;
use crate::maintenance::choose::CleanUp;
use crate::maintenance::clean_up::{prunings, removed};
use crate::maintenance::error::MaintenanceError;
use crate::maintenance::plan::{Plan, Planned, Progress};
use crate::maintenance::requested::{Answer, Requested};
use crate::maintenance::sweep::{Company, Sweep, Sweeper};
use crate::options::Scope;

/// Pause before the next try to put a message into a full inbox.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(crate) struct CleanUps {
    stage: Stage,
    /// Attempts that have ended since the last commit, as publishers of artifacts.
    ended: Vec<String>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The thread chooses runs, removes files, or answers.
    Busy,
    /// The rows of the runs can go.
    Planned(Box<Planned>),
}

impl CleanUps {
    /// True while the thread may be removing files.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Busy)
    }

    pub(crate) fn attempt_ended(&mut self, holder: String) {
        self.ended.push(holder);
    }
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    fn is_ending(&self) -> bool {
        // A full disk ends nothing, and a clean-up helps.
        self.stopping.as_ref().is_some_and(|stop| stop.until_free.is_none())
    }

    /// Starts the oldest request, unless another one is at work.
    pub(crate) fn take_clean_up(&mut self) {
        let Stage::Idle = self.clean_ups.stage else { return };
        if self.options.scope == Scope::Requests || self.is_ending() {
            return;
        }
        let state_dir = &self.options.state_dir;
        let id = match Requested::open(state_dir) {
            Ok(open) => open.first().copied(),
            Err(error) => {
                self.observer.warn(&format!("clean-ups are not done: {}", error_chain(&error)));
                None
            }
        };
        let Some(id) = id else { return };
        let requested = Requested::new(state_dir, id);
        self.clean_ups.stage = Stage::Busy;
        self.on_the_side(move |artifacts, _| {
            let state_dir = requested.state_dir();
            Requested::forget_answers(state_dir)?;
            artifacts.forget_holds(Attempts::AtWork)?;
            match plan(state_dir, artifacts, &requested) {
                Ok((clean_up, plan)) => Ok(Progress::Planned(Box::new(Planned { id, clean_up, plan }))),
                Err(error) => refuse(&requested, artifacts, &error),
            }
        });
    }

    pub(crate) fn on_clean_up(&mut self, progress: Progress) {
        match progress {
            Progress::Planned(planned) => self.clean_ups.stage = Stage::Planned(planned),
            Progress::Ended { problem } => {
                self.clean_ups.stage = Stage::Idle;
                match problem {
                    Some(problem) => self.observer.warn(&format!("a clean-up is not done: {problem}")),
                    // One that cannot be answered stays, and would be tried for ever.
                    None => self.take_clean_up(),
                }
            }
        }
    }

    /// Removes the rows of the chosen runs once nothing of them works any more, and lets the thread remove the files.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn continue_clean_up(&mut self) -> Result<(), EngineError> {
        let Stage::Planned(planned) = &self.clean_ups.stage else { return Ok(()) };
        let ids = planned.plan.ids();
        // Processes of a run that has just ended may still write their last words.
        if self.is_ending() || ids.iter().any(|run| self.attempts.of_run(*run)) {
            return Ok(());
        }
        // A decision may refer to content of these runs.
        self.flush_all()?;
        let Stage::Planned(planned) = std::mem::take(&mut self.clean_ups.stage) else { return Ok(()) };
        let Planned { id, clean_up, plan } = *planned;
        let requested = Requested::new(&self.options.state_dir, id);
        // After an error the stage is idle: with more space, the request is taken again.
        let refused = self.remove_rows(&clean_up, &ids)?.err();
        self.clean_ups.stage = Stage::Busy;
        if let Some(error) = refused {
            self.on_the_side(move |artifacts, _| refuse(&requested, artifacts, &error));
            return Ok(());
        }
        self.on_the_side(move |artifacts, ending| {
            let reader = Reader::open(requested.state_dir())?;
            let chosen = removed(plan.chosen(&reader)?);
            let sweeper = Sweeper::new(&reader, artifacts, Sweep::Remove, Company::Engine).until(ending);
            match sweeper.collect(chosen, clean_up.extent()) {
                Err(MaintenanceError::Stopped) => Ok(Progress::Ended { problem: None }),
                done => {
                    requested.answer(artifacts, &Answer::of(&done))?;
                    Ok(Progress::Ended { problem: None })
                }
            }
        });
        Ok(())
    }

    /// The inner error refuses the clean-up: nothing has changed.
    fn remove_rows(&mut self, clean_up: &CleanUp, runs: &[RunId]) -> Result<Result<(), MaintenanceError>, EngineError> {
        let left = match clean_up.still_removable(self.store.reader(), runs) {
            Ok(left) => left,
            Err(error) => return Ok(Err(error)),
        };
        let events = prunings(&left);
        if events.is_empty() {
            return Ok(Ok(()));
        }
        match self.store.commit(Batch { events: &events, ..Batch::default() }) {
            // A person was faster.
            Err(kept @ StoreError::Kept { .. }) => return Ok(Err(kept.into())),
            committed => drop(committed?),
        }
        for run in left {
            self.set_aside.remove(&run);
            if self.options.scope != Scope::Run(run) {
                self.forget(run);
            }
        }
        Ok(Ok(()))
    }

    /// Forgets what ended attempts have published: a commit has just written all that will ever refer to it. The thread
    /// that also cleans up does it, hence never in the middle of a clean-up.
    pub(crate) fn release_publications(&mut self) {
        let ended = std::mem::take(&mut self.clean_ups.ended);
        if !ended.is_empty() {
            let artifacts = self.artifacts.clone();
            self.janitor.perform(move |_| ended.iter().for_each(|attempt| artifacts.release(attempt)));
        }
    }

    /// Performs a part of a clean-up on the thread, and gets its progress as a message.
    fn on_the_side(
        &mut self,
        part: impl FnOnce(&ArtifactStore, &AtomicBool) -> Result<Progress, MaintenanceError> + Send + 'static,
    ) {
        let (artifacts, sender) = (self.artifacts.clone(), self.sender.clone());
        self.janitor.perform(move |ending| {
            let progress =
                part(&artifacts, ending).unwrap_or_else(|error| Progress::Ended { problem: Some(error_chain(&error)) });
            send(&sender, Message::CleanUp(progress), ending);
        });
    }
}

/// Chooses runs, unless an engine that died has chosen them.
fn plan(
    state_dir: &Path,
    artifacts: &ArtifactStore,
    requested: &Requested,
) -> Result<(CleanUp, Plan), MaintenanceError> {
    let clean_up = requested.clean_up()?;
    if let Some(plan) = requested.plan()? {
        return Ok((clean_up, plan));
    }
    let plan = clean_up.plan(&Reader::open(state_dir)?, artifacts)?;
    requested.record_plan(artifacts, &plan)?;
    Ok((clean_up, plan))
}

fn refuse(
    requested: &Requested,
    artifacts: &ArtifactStore,
    error: &MaintenanceError,
) -> Result<Progress, MaintenanceError> {
    let answer = Answer::Refused { why: error_chain(error), hint: error.hint() };
    requested.answer(artifacts, &answer)?;
    Ok(Progress::Ended { problem: None })
}

/// Puts a message into the inbox. An engine that ends waits for this thread and reads no message any more.
fn send(sender: &SyncSender<Message>, message: Message, ending: &AtomicBool) {
    let mut message = message;
    while let Err(TrySendError::Full(again)) = sender.try_send(message) {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        message = again;
        thread::sleep(PAUSE);
    }
}
