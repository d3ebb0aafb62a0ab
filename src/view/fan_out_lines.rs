//! Keeps the items of large fan-outs from flooding the lines about a run: their starts and ends are counted, and only
//! what a person must know of an item has a line.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::event_text::progress_line;
use super::fan_out::MOST_CHILDREN;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::Progress;
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_store::Children;

/// Time between two lines with the number of items that are done.
const INTERVAL: Duration = Duration::from_secs(10);
/// Most lines about failures of the items of a large fan-out; its counts and the end of the run tell about the others.
const MOST_FAILURES: u32 = 20;

/// What to print for an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Show,
    Hide,
    /// How many items of this fan-out are done.
    Count(StepId),
}

#[derive(Default)]
pub struct FanOutLines {
    /// Every fan-out with an event so far.
    known: HashMap<(RunId, StepId), FanOut>,
}

struct FanOut {
    /// Time of the last count; `None` if it is small.
    counted_at: Option<Instant>,
    /// Lines about failures so far.
    failures: u32,
}

impl FanOut {
    fn of(items: u64) -> FanOut {
        FanOut { counted_at: (items > MOST_CHILDREN).then(Instant::now), failures: 0 }
    }
}

impl FanOutLines {
    /// Judges an event of a run. `items` gives the size of a fan-out that was expanded before the first event.
    pub fn judge(&mut self, run: RunId, event: &Event, items: impl FnOnce(&StepId) -> u64) -> Verdict {
        let Event::Step(StepEvent { step, kind, .. }) = event else { return Verdict::Show };
        // A resumed fan-out keeps its items, and waits for them again.
        if matches!(kind, StepEventKind::Expanded { items: given } if given.is_empty()) {
            return if items(step) > 0 { Verdict::Hide } else { Verdict::Show };
        }
        if let StepEventKind::Expanded { items } = kind {
            self.known.insert((run, step.clone()), FanOut::of(items.len() as u64));
        }
        let is_failure = matches!(kind, StepEventKind::AttemptFailed { .. } | StepEventKind::Failed { .. });
        let Some((parent, _)) = step.as_str().split_once('[').filter(|_| is_failure || is_routine(kind)) else {
            return Verdict::Show;
        };
        let parent = StepId::from(parent);
        let fan_out = self.known.entry((run, parent.clone())).or_insert_with(|| FanOut::of(items(&parent)));
        match &mut fan_out.counted_at {
            None => Verdict::Show,
            Some(_) if is_failure && fan_out.failures < MOST_FAILURES => {
                fan_out.failures += 1;
                Verdict::Show
            }
            Some(at) if at.elapsed() < INTERVAL => Verdict::Hide,
            Some(at) => {
                *at = Instant::now();
                Verdict::Count(parent)
            }
        }
    }

    /// Forgets a run that has ended.
    pub fn forget(&mut self, run: RunId) {
        self.known.retain(|(of, _), _| *of != run);
    }
}

fn is_routine(kind: &StepEventKind) -> bool {
    matches!(
        kind,
        StepEventKind::AttemptStarted { attempt: 1, .. }
            | StepEventKind::Succeeded { .. }
            | StepEventKind::Reused { .. }
            | StepEventKind::Skipped { .. }
            | StepEventKind::Canceled
    )
}

/// A line such as `fan  5000/20000 items (25 %)  3 failed`.
pub fn count_line(step: &StepId, children: Children) -> String {
    let Children { total, done, failed } = children;
    let message = if failed > 0 { format!("{failed} failed") } else { String::new() };
    progress_line(step, &Progress { done, total, unit: "items".to_owned(), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::failure::Failure;
    use uuid::Uuid;

    const RUN: RunId = RunId(Uuid::nil());

    fn event(step: &str, kind: StepEventKind) -> Event {
        kind.of(StepId::from(step))
    }

    fn skipped(step: &str) -> Event {
        event(step, StepEventKind::Skipped { reason: "no".to_owned() })
    }

    fn expanded(step: &str, items: usize) -> Event {
        event(step, StepEventKind::Expanded { items: vec![serde_json::Value::Null; items] })
    }

    #[test]
    fn items_of_a_large_fan_out_are_counted_and_their_failures_shown() {
        let mut lines = FanOutLines::default();
        let mut judge = |event: &Event| lines.judge(RUN, event, |_| 1_000);
        assert_eq!(judge(&expanded("large", 101)), Verdict::Show);
        assert_eq!(judge(&expanded("small", 100)), Verdict::Show);
        assert_eq!(judge(&expanded("large", 0)), Verdict::Hide, "it waits for its items again");
        assert_eq!(judge(&skipped("large[7]")), Verdict::Hide);
        let failure = Failure::fatal("broken");
        let failed = |step| event(step, StepEventKind::AttemptFailed { failure: failure.clone() });
        for _ in 0..MOST_FAILURES {
            assert_eq!((judge(&failed("large[7]")), judge(&failed("small[7]"))), (Verdict::Show, Verdict::Show));
        }
        assert_eq!((judge(&failed("large[7]")), judge(&failed("small[7]"))), (Verdict::Hide, Verdict::Show));
        let whole = event("large", StepEventKind::Failed { failure: failure.clone() });
        assert_eq!(judge(&whole), Verdict::Show);
        assert_eq!(judge(&skipped("small[7]")), Verdict::Show);
        assert_eq!(judge(&skipped("large")), Verdict::Show);
        assert_eq!(judge(&skipped("expanded-before[7]")), Verdict::Hide, "a resumed run");
    }

    #[test]
    fn a_count_comes_after_a_while_and_then_waits_again() {
        let mut lines = FanOutLines::default();
        assert_eq!(lines.judge(RUN, &expanded("empty", 0), |_| 0), Verdict::Show);
        lines.judge(RUN, &expanded("large", 101), |_| 0);
        let past = Instant::now().checked_sub(INTERVAL);
        lines.known.insert((RUN, StepId::from("large")), FanOut { counted_at: past, failures: 0 });
        let mut judge = || lines.judge(RUN, &skipped("large[7]"), |_| 0);
        assert_eq!((judge(), judge()), (Verdict::Count(StepId::from("large")), Verdict::Hide));
        lines.forget(RUN);
        assert!(lines.known.is_empty());
    }

    #[test]
    fn a_count_is_one_line() {
        let children = Children { total: 20_000, done: 5_000, failed: 3 };
        assert_eq!(count_line(&StepId::from("fan"), children), "fan  5000/20000 items (25 %)  3 failed");
    }
}
