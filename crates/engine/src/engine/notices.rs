//! Tells the owner's program about ended runs, at least once each: the database holds what is still to be told.

use std::collections::BTreeSet;
use std::time::Duration;

use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, Recorded, RunEvent};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::executors::Executor;
use crate::inbox::Inbox;
use crate::notifier::{Alarm, End, Notifier};

/// Longest wait of an engine that has nothing else to do. The next engine tells the rest.
const LAST_WAIT: Duration = Duration::from_secs(12);

/// Ends that the notifier has been given and has not confirmed.
#[derive(Default)]
pub(crate) struct Notices {
    notifier: Option<Notifier>,
    open: BTreeSet<End>,
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    fn notifies(&self) -> bool {
        !self.options.limits.notify_command.is_empty()
    }

    /// The ends among these events that the owner wants to know of. A child run ends within its parent run.
    pub(crate) fn ends_to_tell(&self, events: &[Recorded]) -> Vec<End> {
        if !self.notifies() {
            return Vec::new();
        }
        let ended = events.iter().filter(|recorded| {
            matches!(recorded.event, Event::Run(RunEvent::Succeeded | RunEvent::Failed { .. } | RunEvent::Canceled))
        });
        let of_a_person = |run: &RunId| self.runs.get(run).is_some_and(|run| run.ancestors.is_empty());
        ended.filter(|recorded| of_a_person(&recorded.run)).map(|recorded| (recorded.run, recorded.at)).collect()
    }

    /// Starts telling ends that are committed.
    pub(crate) fn tell(&mut self, ends: Vec<End>) {
        for end in ends {
            // After a full disk the engine starts again while the notifier works.
            if self.notices.open.insert(end) {
                self.notifier().tell(end);
            }
        }
    }

    /// Tells an alert of a person's run, unless alerts have a program of their own.
    pub(crate) fn raise(&mut self, alarm: Alarm) {
        let is_child = self.runs.get(&alarm.run).is_none_or(|run| !run.ancestors.is_empty());
        if self.notifies() && !is_child {
            self.notifier().raise(alarm);
        }
    }

    fn notifier(&mut self) -> &Notifier {
        self.notices.notifier.get_or_insert_with(|| {
            let command = self.options.limits.notify_command.clone();
            Notifier::start(command, self.options.state_dir.clone(), self.sender.clone())
        })
    }

    /// Tells what an earlier engine was about to tell when it died.
    pub(crate) fn tell_earlier_ends(&mut self) -> Result<(), EngineError> {
        if self.notifies() {
            let ends = self.store.reader().untold_ends()?;
            self.tell(ends);
        }
        Ok(())
    }

    pub(crate) fn on_told(&mut self, end: End, problem: Option<String>) {
        self.notices.open.remove(&end);
        self.pending.told(end, self.clock.instant());
        if let Some(problem) = problem {
            self.observer.warn(&problem);
        }
    }

    /// Waits for the notifier after the last run has ended, unless a person stops the engine.
    pub(crate) fn finish_notices(&mut self, inbox: &Inbox) -> Result<(), EngineError> {
        let deadline = self.clock.instant() + LAST_WAIT;
        while !self.notices.open.is_empty() && self.stopping.is_none() {
            let left = deadline.saturating_duration_since(self.clock.instant());
            match self.clock.receive(&inbox.receiver, Some(left)) {
                Some(message) => self.on_message(message)?,
                None => break,
            }
        }
        self.flush_all()
    }
}
