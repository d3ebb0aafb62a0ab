//! Follows a run that another process drives: reads what is new from the database and passes it on.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use crate::error::CliError;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, Progress};
use stepwell_engine::Observer;
use stepwell_run::event::{Event, Recorded, StepEvent, StepEventKind};
use stepwell_store::{EventRow, Reader, StoreError};

use crate::view::progress::ProgressView;
use crate::view::series::headline;

/// Sees what happens to a run and its child runs.
pub trait Viewer {
    fn event(&mut self, row: &EventRow);
    fn metric(&mut self, run: RunId, step: &StepId, row: &Measurement);
    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress);
    /// True if this viewer shows metrics; reading them takes time.
    fn wants_metrics(&self) -> bool;
    /// True once nobody reads what the viewer prints.
    fn is_gone(&self) -> bool {
        false
    }
}

impl Viewer for ProgressView {
    fn event(&mut self, row: &EventRow) {
        Observer::event(self, &Recorded { run: row.run, at: row.at, event: row.event.clone() });
    }

    fn metric(&mut self, run: RunId, step: &StepId, row: &Measurement) {
        Observer::measured(self, run, step, row);
    }

    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress) {
        self.show(run, step);
        Observer::progress(self, run, step, progress);
    }

    fn wants_metrics(&self) -> bool {
        self.shows_metrics()
    }
}

/// A step of a run or of one of its child runs.
type Place = (RunId, StepId);

pub struct Follower {
    run: RunId,
    last_seq: i64,
    /// The last training step whose metrics were passed on.
    measured: HashMap<Place, u64>,
    /// Steps that started or ended since their metrics were last read.
    stale: BTreeSet<Place>,
}

impl Follower {
    /// Follows a run from the event after `after_seq`; 0 is the start of its history.
    pub fn new(run: RunId, after_seq: i64) -> Follower {
        Follower { run, last_seq: after_seq, measured: HashMap::new(), stale: BTreeSet::new() }
    }

    /// Passes on everything that happened since the last look: events, then metrics and progress.
    pub fn look(&mut self, reader: &Reader, viewer: &mut dyn Viewer) -> Result<(), CliError> {
        // What is written meanwhile waits for the next look, so that this one ends.
        let newest = reader.newest_event()?;
        while self.last_seq < newest {
            let page = reader.family_events(self.run, self.last_seq)?;
            for row in &page {
                self.last_seq = row.seq;
                self.note(row);
                viewer.event(row);
                if viewer.is_gone() {
                    return Ok(());
                }
            }
            if page.is_empty() {
                self.last_seq = newest;
            }
        }
        let running = reader.running_steps_of_family(self.run)?;
        if viewer.wants_metrics() {
            let mut stale = std::mem::take(&mut self.stale);
            stale.extend(running.iter().cloned());
            for place in stale {
                self.pass_on_metrics(reader, place, viewer)?;
            }
        }
        for (run, step) in running {
            if let Some(progress) = progress(reader, run, &step)? {
                viewer.progress(run, &step, &progress);
            }
        }
        Ok(())
    }

    fn note(&mut self, row: &EventRow) {
        let Event::Step(StepEvent { step, kind, .. }) = &row.event else { return };
        let place = || (row.run, step.clone());
        match kind {
            StepEventKind::AttemptRewound { last_step } => {
                // The metrics of later training steps are written again.
                if let Some(measured) = self.measured.get_mut(&place()) {
                    *measured = (*measured).min(*last_step);
                }
            }
            StepEventKind::AttemptStarted { .. }
            | StepEventKind::Succeeded { .. }
            | StepEventKind::AttemptFailed { .. }
            | StepEventKind::AttemptReleased { .. } => {
                self.stale.insert(place());
            }
            _ => {}
        }
    }

    fn pass_on_metrics(&mut self, reader: &Reader, place: Place, viewer: &mut dyn Viewer) -> Result<(), CliError> {
        let (run, step) = &place;
        let mut last = self.measured.get(&place).copied();
        reader.each_measurement((*run, step), last, None, |row| {
            viewer.metric(*run, step, &row);
            last = Some(row.train_step);
            if viewer.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.measured.extend(last.map(|last| (place, last)));
        Ok(())
    }
}

/// The newest progress that the engine stored for a running step, with the loss of a training.
fn progress(reader: &Reader, run: RunId, step: &StepId) -> Result<Option<Progress>, StoreError> {
    let Some(mark) = reader.find_step(run, step)?.and_then(|row| row.progress) else { return Ok(None) };
    let newest = reader.newest_measurement(run, step)?;
    let unit = if newest.is_some() { "steps" } else { "" };
    let message = newest.as_ref().map(headline).unwrap_or_default();
    Ok(Some(Progress { done: mark.done, total: mark.total, unit: unit.to_owned(), message }))
}
