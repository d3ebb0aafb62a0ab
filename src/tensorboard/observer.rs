//! Hears what the engine has committed, and passes everything on.

use std::collections::HashSet;
use std::time::Duration;

use super::changes::Key;
use super::follower::Follower;
use crate::view::event_text::is_ending;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, MetricRow, Progress};
use stepwell_engine::{Observer, SpaceWait};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEvent, StepEventKind};

/// An observer with event files beside it.
pub struct Mirrored<'o> {
    observer: &'o mut dyn Observer,
    /// `None` if the settings switch the files off.
    follower: Option<Follower>,
    /// Series of this process. Most steps have none, and cost nothing here.
    series: HashSet<Key>,
    runs: HashSet<RunId>,
}

impl<'o> Mirrored<'o> {
    pub fn new(observer: &'o mut dyn Observer, follower: Option<Follower>) -> Mirrored<'o> {
        Mirrored { observer, follower, series: HashSet::new(), runs: HashSet::new() }
    }

    /// Waits until the files are up to date.
    pub fn finish(self) {
        if let Some(follower) = self.follower {
            follower.finish();
        }
    }

    fn changed(&mut self, run: RunId, step: &StepId, from: u64) {
        let Some(follower) = &self.follower else { return };
        self.runs.insert(run);
        self.series.insert((run, step.clone()));
        follower.note(|changes| changes.changed(run, step, from));
    }

    fn paused(&mut self, run: RunId, step: &StepId) {
        let Some(follower) = &self.follower else { return };
        if self.runs.contains(&run) && self.series.remove(&(run, step.clone())) {
            follower.note(|changes| {
                changes.paused.insert((run, step.clone()));
            });
        }
    }

    fn started(&mut self, run: RunId) {
        if let Some(follower) = &self.follower {
            self.runs.insert(run);
            follower.note(|changes| {
                changes.started.insert(run);
            });
        }
    }

    fn ended(&mut self, run: RunId) {
        let Some(follower) = &self.follower else { return };
        if self.runs.remove(&run) {
            self.series.retain(|(of, _)| *of != run);
            follower.note(|changes| {
                changes.ended.insert(run);
            });
        }
    }
}

impl Observer for Mirrored<'_> {
    fn event(&mut self, recorded: &Recorded) {
        self.observer.event(recorded);
        let run = recorded.run;
        if let Event::Step(StepEvent { step, kind, .. }) = &recorded.event {
            match kind {
                StepEventKind::AttemptRewound { last_step } => self.changed(run, step, last_step.saturating_add(1)),
                StepEventKind::Succeeded { .. }
                | StepEventKind::AttemptFailed { .. }
                | StepEventKind::AttemptReleased { .. }
                | StepEventKind::Canceled => self.paused(run, step),
                _ => {}
            }
        }
        match &recorded.event {
            Event::Run(RunEvent::Started) => self.started(run),
            event if is_ending(event) => self.ended(run),
            _ => {}
        }
    }

    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress) {
        self.observer.progress(run, step, progress);
    }

    fn metric(&mut self, run: RunId, step: &StepId, row: &MetricRow) {
        self.observer.metric(run, step, row);
        self.changed(run, step, row.train_step);
    }

    fn measured(&mut self, run: RunId, step: &StepId, row: &Measurement) {
        self.observer.measured(run, step, row);
        self.changed(run, step, row.train_step);
    }

    fn waiting_for_space(&mut self, wait: &SpaceWait) {
        self.observer.waiting_for_space(wait);
    }

    fn warn(&mut self, message: &str) {
        self.observer.warn(message);
    }

    fn stopping(&mut self, grace: Duration) {
        self.observer.stopping(grace);
    }
}
