//! Events so far of runs whose spans are open. Each event is read once, whatever the size of a run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;

use super::span::{Moment, Value};
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Event, RunEvent, StepEvent, StepEventKind};
use stepwell_store::{EventRow, Reader, StoreError};

/// Checkpoints and notes of an attempt that its span has: the newest ones.
const MOST_MOMENTS: usize = 32;

/// The stories of runs that have not ended.
#[derive(Default)]
pub(super) struct Stories(HashMap<RunId, RunStory>);

/// A run so far.
#[derive(Clone, Default, Debug)]
pub(super) struct RunStory {
    /// Ends before; a run continues after a failure.
    pub(super) ends: u64,
    /// Start, or the first resumption after the last end.
    pub(super) started: Option<Timestamp>,
    steps: HashMap<StepId, StepStory>,
}

/// A step since its beginning, or since it was last given up.
#[derive(Clone, Default, Debug)]
pub(super) struct StepStory {
    /// Times that it was given up.
    pub(super) failures: u64,
    /// Time of the first event.
    pub(super) started: Option<Timestamp>,
    /// The attempt that has not ended, and its start.
    pub(super) attempt: Option<(u32, Timestamp)>,
    /// Events of that attempt, oldest first.
    pub(super) moments: Vec<Moment>,
}

impl Stories {
    /// The story of a run before event `before`. One that is not known, such as after a start, is read from the log.
    pub(super) fn of(&mut self, reader: &Reader, run: RunId, before: i64) -> Result<&RunStory, StoreError> {
        Ok(match self.0.entry(run) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let mut story = RunStory::default();
                for row in reader.events_after(run, 0) {
                    let row = row?;
                    if row.seq >= before {
                        break;
                    }
                    story.see(&row);
                }
                place.insert(story)
            }
        })
    }

    /// Adds an event to a known story. That of a run that has ended is forgotten: few of them continue.
    pub(super) fn see(&mut self, row: &EventRow) {
        let is_end =
            matches!(row.event, Event::Run(RunEvent::Succeeded | RunEvent::Failed { .. } | RunEvent::Canceled));
        match self.0.get_mut(&row.run) {
            _ if is_end => {
                self.0.remove(&row.run);
            }
            Some(story) => story.see(row),
            None if matches!(row.event, Event::Run(RunEvent::Submitted { .. })) => {
                self.0.insert(row.run, RunStory::default());
            }
            None => {}
        }
    }
}

impl RunStory {
    pub(super) fn step(&self, step: &StepId) -> StepStory {
        self.steps.get(step).cloned().unwrap_or_default()
    }

    fn see(&mut self, row: &EventRow) {
        match &row.event {
            Event::Run(RunEvent::Started | RunEvent::Resumed) => {
                self.started.get_or_insert(row.at);
            }
            Event::Run(RunEvent::Succeeded | RunEvent::Failed { .. } | RunEvent::Canceled) => {
                self.ends += 1;
                self.started = None;
            }
            Event::Run(_) => {}
            Event::Step(StepEvent { step, kind, .. }) => match kind {
                StepEventKind::Succeeded { .. }
                | StepEventKind::Skipped { .. }
                | StepEventKind::Reused { .. }
                | StepEventKind::Canceled => {
                    self.steps.remove(step);
                }
                kind => self.steps.entry(step.clone()).or_default().see(kind, row.at),
            },
        }
    }
}

impl StepStory {
    fn see(&mut self, kind: &StepEventKind, at: Timestamp) {
        self.started.get_or_insert(at);
        match kind {
            StepEventKind::Failed { .. } => {
                *self = StepStory { failures: self.failures + 1, ..StepStory::default() };
            }
            StepEventKind::AttemptStarted { attempt, .. } => self.attempt = Some((*attempt, at)),
            StepEventKind::AttemptFailed { .. } | StepEventKind::AttemptReleased { .. } => {
                self.attempt = None;
                self.moments.clear();
            }
            StepEventKind::CheckpointCommitted { checkpoint } => {
                let train_step = i64::try_from(checkpoint.last_step.unwrap_or_default()).unwrap_or(i64::MAX);
                self.add("checkpoint", at, ("stepwell.train_step", Value::Number(train_step)));
            }
            StepEventKind::Note { message } => {
                self.add("note", at, ("message", Value::Text(message.chars().take(500).collect())));
            }
            _ => {}
        }
    }

    fn add(&mut self, name: &'static str, at: Timestamp, attribute: (&'static str, Value)) {
        if self.moments.len() == MOST_MOMENTS {
            self.moments.remove(0);
        }
        self.moments.push(Moment { name, at, attributes: vec![attribute] });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::failure::Failure;
    use stepwell_base::ids::{Fence, StepKey};

    fn row(seq: i64, event: impl Into<Event>) -> EventRow {
        EventRow {
            seq,
            run: RunId(uuid::Uuid::from_u128(7)),
            at: Timestamp::from_second(seq).unwrap(),
            event: event.into(),
        }
    }

    fn attempt(number: u32) -> Event {
        let kind = StepEventKind::AttemptStarted {
            attempt: number,
            key: StepKey("k".to_owned()),
            with: serde_json::Value::Null,
            lease_expires_at: Timestamp::UNIX_EPOCH,
            resources: Default::default(),
        };
        kind.under("a".into(), Fence(u64::from(number)))
    }

    #[test]
    fn a_step_that_is_tried_again_has_a_story_of_its_own() {
        let mut run = RunStory::default();
        let failure = || Failure::fatal("no");
        run.see(&row(1, RunEvent::Started));
        run.see(&row(2, StepEventKind::Ready { not_before: Timestamp::UNIX_EPOCH }.of("a".into())));
        run.see(&row(3, attempt(1)));
        let story = run.step(&"a".into());
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!((story.failures, story.started, story.attempt), (0, Some(at(2)), Some((1, at(3)))));
        run.see(&row(4, StepEventKind::AttemptFailed { failure: failure() }.under("a".into(), Fence(1))));
        assert_eq!(run.step(&"a".into()).attempt, None);
        run.see(&row(5, StepEventKind::Failed { failure: failure() }.of("a".into())));
        run.see(&row(6, RunEvent::Failed { step: "a".into(), failure: failure() }));
        assert_eq!((run.ends, run.started), (1, None));
        run.see(&row(7, RunEvent::Resumed));
        run.see(&row(8, attempt(2)));
        let story = run.step(&"a".into());
        assert_eq!((story.failures, story.started, story.attempt), (1, Some(at(8)), Some((2, at(8)))));
        assert_eq!((run.ends, run.started), (1, Some(at(7))));
    }
}
