//! Estimates the remaining time of a run from the progress inside its running steps and from past durations
//! of equal steps.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{RunState, Step, StepState};
use stepwell_base::ids::StepId;
use stepwell_base::protocol::Progress;

/// The first and the latest progress report of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProgressMark {
    pub done: u64,
    /// 0 when unknown.
    pub total: u64,
    pub at: Timestamp,
    /// Not 0 for a resumed attempt.
    pub first_done: u64,
    pub first_at: Timestamp,
}

impl ProgressMark {
    /// Adds one report; a report that moves backwards becomes the new first one, and so does the first that knows a total.
    pub fn after(earlier: Option<ProgressMark>, progress: &Progress, at: Timestamp) -> ProgressMark {
        let Progress { done, total, .. } = *progress;
        let first = earlier
            .filter(|mark| mark.done <= done && (mark.total > 0 || total == 0))
            .map_or((done, at), |mark| (mark.first_done, mark.first_at));
        ProgressMark { done, total, at, first_done: first.0, first_at: first.1 }
    }

    /// Time left at the speed of this attempt; `None` while the speed is unknown.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let units = self.done.checked_sub(self.first_done).filter(|units| *units > 0)?;
        let seconds = self.at.duration_since(self.first_at).as_secs_f64();
        let left = self.total.checked_sub(self.done).filter(|_| self.total > 0)? as f64 * seconds / units as f64;
        let since = now.duration_since(self.at).as_secs_f64().max(0.0);
        Duration::try_from_secs_f64((left - since).max(0.0)).ok()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    Done,
    Waiting,
    Running { since: Timestamp, progress: Option<ProgressMark> },
}

/// A step, reduced to what the estimate needs.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: StepId,
    /// Steps that end before it starts.
    pub needs: Vec<StepId>,
    /// The fan-out that ends after it.
    pub parent: Option<StepId>,
    pub work: Work,
    /// Past duration of equal steps.
    pub usual: Option<Duration>,
    /// Number of equal steps that this task stands for.
    pub times: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Estimate {
    pub left: Duration,
    /// False when the duration of some steps is unknown, so that the run takes longer than this.
    pub complete: bool,
}

impl Task {
    fn left(&self, now: Timestamp) -> Option<Duration> {
        match self.work {
            Work::Done => Some(Duration::ZERO),
            Work::Waiting => self.usual,
            Work::Running { since, progress } => progress.and_then(|mark| mark.left(now)).or_else(|| {
                let worked = Duration::try_from(now.duration_since(since)).unwrap_or_default();
                // A step that takes longer than usual says nothing about its end.
                self.usual.filter(|usual| *usual > worked).map(|usual| usual - worked)
            }),
        }
    }
}

/// Builds the tasks of a run in memory. `progress` covers running attempts; `usual` is keyed by spec index.
pub fn tasks(
    state: &RunState,
    progress: impl Fn(&Step) -> Option<ProgressMark>,
    usual: &HashMap<usize, Duration>,
) -> Vec<Task> {
    let work = |step: &Step| match &step.state {
        StepState::Leased(lease) => Work::Running { since: lease.started_at, progress: progress(step) },
        state if state.is_terminal() => Work::Done,
        _ => Work::Waiting,
    };
    let task = |step: &Step| Task {
        id: step.id.clone(),
        needs: state.step_spec(step).needs.clone(),
        parent: step.parent.map(|parent| state.steps[parent].id.clone()),
        work: work(step),
        usual: usual.get(&step.spec).copied(),
        times: 1,
    };
    state.steps.iter().map(task).collect()
}

/// Returns the longest path through the steps, or all work divided by the slots, whichever is longer; `None`
/// when nothing is known.
pub fn estimate(tasks: &[Task], slots: usize, now: Timestamp) -> Option<Estimate> {
    let index: HashMap<&StepId, usize> = tasks.iter().enumerate().map(|(i, task)| (&task.id, i)).collect();
    let left: Vec<Option<Duration>> = tasks.iter().map(|task| task.left(now)).collect();
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    let mut open = vec![0usize; tasks.len()];
    let mut parents = vec![false; tasks.len()];
    for (i, task) in tasks.iter().enumerate() {
        for need in task.needs.iter().filter_map(|need| index.get(need)) {
            after[*need].push(i);
            open[i] += 1;
        }
        if let Some(&parent) = task.parent.as_ref().and_then(|parent| index.get(parent)) {
            after[i].push(parent);
            open[parent] += 1;
            parents[parent] = true;
        }
    }
    let own = |i: usize| if parents[i] { Some(Duration::ZERO) } else { left[i] };
    let mut start = vec![Duration::ZERO; tasks.len()];
    let mut next: Vec<usize> = (0..tasks.len()).filter(|&i| open[i] == 0).collect();
    let (mut longest, mut total) = (Duration::ZERO, Duration::ZERO);
    while let Some(i) = next.pop() {
        let own = own(i).unwrap_or_default();
        let end = start[i].saturating_add(own);
        (longest, total) = (longest.max(end), total.saturating_add(own.saturating_mul(tasks[i].times)));
        for &j in &after[i] {
            start[j] = start[j].max(end);
            open[j] -= 1;
            if open[j] == 0 {
                next.push(j);
            }
        }
    }
    let complete = (0..tasks.len()).all(|i| own(i).is_some());
    let left = longest.max(total / u32::try_from(slots.max(1)).unwrap_or(u32::MAX));
    (complete || left > Duration::ZERO).then_some(Estimate { left, complete })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn task(id: &str, needs: &[&str], work: Work, usual: Option<u64>) -> Task {
        let needs = needs.iter().map(|&need| need.into()).collect();
        Task { id: id.into(), needs, parent: None, work, usual: usual.map(Duration::from_secs), times: 1 }
    }

    fn seconds(tasks: &[Task], slots: usize) -> Option<(u64, bool)> {
        estimate(tasks, slots, at(100)).map(|estimate| (estimate.left.as_secs(), estimate.complete))
    }

    #[test]
    fn a_running_step_continues_at_its_own_speed() {
        let mark = ProgressMark { done: 60, total: 100, at: at(90), first_done: 50, first_at: at(80) };
        assert_eq!(mark.left(at(90)).map(|left| left.as_secs()), Some(40), "1 unit per second since the resume");
        assert_eq!(mark.left(at(100)).map(|left| left.as_secs()), Some(30));
        assert_eq!(ProgressMark { total: 0, ..mark }.left(at(90)), None);
        assert_eq!(ProgressMark { first_done: 60, ..mark }.left(at(90)), None);
        let report = |done, total| Progress { done, total, ..Progress::default() };
        let loading = ProgressMark::after(None, &report(0, 0), at(0));
        let first = ProgressMark::after(Some(loading), &report(0, 50), at(30));
        assert_eq!(
            (first.first_at, ProgressMark::after(Some(first), &report(5, 50), at(40)).first_at),
            (at(30), at(30))
        );
        let running = Work::Running { since: at(0), progress: Some(mark) };
        assert_eq!(seconds(&[task("a", &[], running, Some(5000))], 1), Some((30, true)), "progress beats history");
    }

    #[test]
    fn the_longest_path_and_the_slots_bound_the_rest() {
        let tasks = [
            task("a", &[], Work::Running { since: at(40), progress: None }, Some(100)),
            task("b", &["a"], Work::Waiting, Some(50)),
            task("c", &["a"], Work::Waiting, Some(30)),
            task("d", &["b", "c"], Work::Waiting, Some(1)),
            task("e", &[], Work::Done, None),
        ];
        assert_eq!(seconds(&tasks, 8), Some((40 + 50 + 1, true)));
        assert_eq!(seconds(&tasks, 1), Some((40 + 50 + 30 + 1, true)));
    }

    #[test]
    fn children_end_before_their_parent_and_what_is_unknown_is_said() {
        let mut child = task("f[0]", &[], Work::Waiting, Some(10));
        child.parent = Some("f".into());
        let tasks = [task("f", &[], Work::Waiting, None), child, task("g", &["f"], Work::Waiting, Some(5))];
        assert_eq!(seconds(&tasks, 2), Some((15, true)));
        let mut many = tasks.clone();
        many[1].times = 9;
        assert_eq!(seconds(&many, 2), Some(((9 * 10 + 5) / 2, true)));
        assert_eq!(seconds(&[task("a", &[], Work::Waiting, None)], 1), None);
        let half = [task("a", &[], Work::Waiting, None), task("b", &["a"], Work::Waiting, Some(5))];
        assert_eq!(seconds(&half, 1), Some((5, false)));
    }
}
