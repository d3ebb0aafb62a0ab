//! Judges the event log of a run that was killed repeatedly.

use std::collections::{HashMap, HashSet};

use super::tally::Tally;
use stepwell_base::ids::StepId;
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_store::EventRow;

/// The log of one round, read event by event.
pub struct History<'t> {
    tally: &'t mut Tally,
    /// Path of the state directory, for a person to inspect.
    place: String,
    succeeded: HashSet<StepId>,
    saved: HashMap<StepId, u64>,
}

impl History<'_> {
    pub fn observe(&mut self, event: Event) {
        let Event::Step(StepEvent { step, kind, .. }) = event else { return };
        match kind {
            StepEventKind::AttemptStarted { .. } => self.tally.attempts += 1,
            StepEventKind::Succeeded { .. } if !self.succeeded.insert(step.clone()) => {
                let what = format!("repeated: step {step} succeeded twice in {}", self.place);
                self.tally.record(|tally| &mut tally.repeated_commits, what);
            }
            // An attempt that silently starts too early is found when it commits its next checkpoint.
            StepEventKind::CheckpointCommitted { checkpoint } => {
                if let Some(last_step) = checkpoint.last_step {
                    self.move_to(step, last_step);
                }
            }
            StepEventKind::AttemptRewound { last_step } => self.move_to(step, last_step),
            _ => {}
        }
    }

    fn move_to(&mut self, step: StepId, last_step: u64) {
        let newest = self.saved.insert(step.clone(), last_step).unwrap_or(0);
        if last_step < newest {
            let what = format!("repeated: step {step} went back to {last_step}, although {newest} was saved");
            self.tally.record(|tally| &mut tally.rewinds_too_far, what);
        }
    }
}

impl Tally {
    /// Counts the findings in the log of one round.
    pub fn history(&mut self, place: String) -> History<'_> {
        History { tally: self, place, succeeded: HashSet::new(), saved: HashMap::new() }
    }

    /// Checks that everything committed before a kill is unchanged after it. `found` holds the events from `newest` on.
    pub fn judge_newest(&mut self, newest: &EventRow, found: &[EventRow], place: &str) {
        if found.first() != Some(newest) {
            self.record(|tally| &mut tally.lost_events, format!("lost: event {} of {place}", newest.seq));
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use stepwell_base::artifact::Outputs;
    use stepwell_base::checkpoint::Checkpoint;
    use stepwell_base::ids::{Fence, RunId};

    fn succeeded(step: &str) -> Event {
        StepEventKind::Succeeded { outputs: Outputs::default() }.under(step.into(), Fence(1))
    }

    fn saved(step: &str, last_step: u64) -> Event {
        let checkpoint = Checkpoint {
            artifact: None,
            state: serde_json::Value::Null,
            last_step: Some(last_step),
            last_doc_index: None,
            tokens_so_far: None,
            loss: None,
            phase: None,
            permanent: false,
            keep: None,
            ..Checkpoint::default()
        };
        StepEventKind::CheckpointCommitted { checkpoint }.under(step.into(), Fence(1))
    }

    fn rewound(step: &str, last_step: u64) -> Event {
        StepEventKind::AttemptRewound { last_step }.under(step.into(), Fence(1))
    }

    fn judged(events: impl IntoIterator<Item = Event>) -> Tally {
        let mut tally = Tally::default();
        let mut history = tally.history("here".to_owned());
        events.into_iter().for_each(|event| history.observe(event));
        tally
    }

    #[test]
    fn a_log_that_only_goes_forward_is_sound() {
        let tally =
            judged([saved("a", 5), saved("b", 2), rewound("a", 5), saved("a", 10), succeeded("a"), succeeded("b")]);
        assert!(tally.is_sound(), "{:?}", tally.findings);
    }

    #[test]
    fn a_second_success_of_a_step_is_repeated_work() {
        let tally = judged([succeeded("a"), succeeded("b"), succeeded("a")]);
        assert_eq!((tally.repeated_commits, tally.is_sound()), (1, false));
    }

    #[test]
    fn going_back_behind_a_checkpoint_is_repeated_work_announced_or_not() {
        for back in [rewound("a", 0), saved("a", 5)] {
            let tally = judged([saved("a", 5), saved("a", 10), back]);
            assert_eq!((tally.rewinds_too_far, tally.is_sound()), (1, false), "{:?}", tally.findings);
        }
    }

    #[test]
    fn an_event_that_is_gone_or_another_one_is_lost() {
        let row = |seq, event| EventRow { seq, run: RunId(Uuid::nil()), at: Timestamp::UNIX_EPOCH, event };
        let newest = row(7, succeeded("a"));
        let mut tally = Tally::default();
        tally.judge_newest(&newest, &[newest.clone(), row(8, succeeded("b"))], "here");
        assert!(tally.is_sound());
        tally.judge_newest(&newest, &[], "here");
        tally.judge_newest(&newest, &[row(7, succeeded("b"))], "here");
        tally.judge_newest(&newest, &[row(8, succeeded("a"))], "here");
        assert_eq!((tally.lost_events, tally.is_sound()), (3, false));
    }
}
