//! Judges a run against its budget and deadline.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::Alert;
use super::state::RunState;
use stepwell_base::duration::later;
use stepwell_workflow::budget::hours;

/// Usage of the child runs of a run, at any depth: a run also pays for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChildUsage {
    /// Includes running attempts.
    pub compute: SignedDuration,
    /// Number of running attempts.
    pub working: usize,
}

/// Compute used so far, including running attempts and child runs.
pub fn compute_used(state: &RunState, children: ChildUsage, now: Timestamp) -> SignedDuration {
    state
        .leases()
        .map(|(_, lease)| lease.worked(now))
        .fold(state.compute + children.compute, |sum, worked| sum + worked)
}

/// True once the compute used has reached the cap.
pub fn is_used_up(state: &RunState, children: ChildUsage, now: Timestamp) -> bool {
    state
        .budget
        .cap()
        .and_then(|cap| SignedDuration::try_from(cap).ok())
        .is_some_and(|cap| compute_used(state, children, now) >= cap)
}

/// Returns the alerts that apply now, including those raised before. `left` is the estimated time to the end.
pub fn alerts(
    state: &RunState,
    children: ChildUsage,
    submitted_at: Timestamp,
    left: Option<Duration>,
    now: Timestamp,
) -> Vec<(Alert, String)> {
    let mut alerts = Vec::new();
    if state.end.is_some() {
        return alerts;
    }
    if is_used_up(state, children, now) {
        alerts.push((Alert::BudgetExhausted, format!("the budget of {} is used up", state.budget.describe())));
    }
    if let Some(sla) = state.spec().sla {
        let promised = hours(sla.finish_within.as_secs_f64());
        let deadline = later(submitted_at, sla.finish_within);
        if now >= deadline {
            alerts.push((Alert::DeadlineMissed, format!("the run should have finished within {promised}")));
        } else if let Some(left) = left
            && later(now, left) > deadline
        {
            let late = later(now, left).duration_since(deadline).as_secs_f64();
            let message = format!("the run should finish within {promised}; the estimate is {} late", hours(late));
            alerts.push((Alert::DeadlineAtRisk, message));
        }
    }
    alerts
}

/// Returns the time at which the result of [`alerts`] changes even if nothing happens.
pub fn next_judgement(
    state: &RunState,
    children: ChildUsage,
    submitted_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    if state.end.is_some() {
        return None;
    }
    let deadline = state.spec().sla.map(|sla| later(submitted_at, sla.finish_within)).filter(|at| *at > now);
    let working = u32::try_from(state.leases().count() + children.working).unwrap_or(u32::MAX);
    // A run over its limit is already being paused.
    let cap = state.budget.cap().filter(|_| working > 0 && !is_used_up(state, children, now)).map(|cap| {
        let used = Duration::try_from(compute_used(state, children, now)).unwrap_or_default();
        later(now, cap.saturating_sub(used) / working)
    });
    [deadline, cap].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, Value};

    use super::*;
    use crate::command::Command;
    use crate::estimate::{ProgressMark, estimate, tasks};
    use crate::event::{Event, ReleaseCause, RunEvent};
    use stepwell_base::ids::{Fence, RunId, StepKey};
    use stepwell_workflow::budget::{Budget, Sla};
    use stepwell_workflow::catalog::Placement;
    use stepwell_workflow::spec::{StepSpec, Timeouts, WorkflowSpec};

    const HOUR: Duration = Duration::from_secs(3600);
    const NONE: ChildUsage = ChildUsage { compute: SignedDuration::ZERO, working: 0 };

    fn at(hours: f64) -> Timestamp {
        Timestamp::from_second((hours * 3600.0) as i64).unwrap()
    }

    /// A run of steps without needs, with leases of one day.
    fn run(budget: Budget, sla: Option<Sla>, steps: &[&str]) -> RunState {
        let step = |id: &&str| StepSpec {
            id: (*id).into(),
            kind: "k".into(),
            needs: Vec::new(),
            with: Map::new(),
            for_each: None,
            when: None,
            retry: Default::default(),
            timeout: Timeouts { heartbeat: HOUR * 24, ..Timeouts::default() },
            resources: Default::default(),
            priority: 0,
            rate_limit: None,
            executor: None,
            child: Default::default(),
        };
        let steps = steps.iter().map(step).collect();
        let (name, description, params, outputs) = ("w".into(), String::new(), Map::new(), Default::default());
        let secrets = Default::default();
        let spec = WorkflowSpec { name, description, params, defaults: None, outputs, steps, budget, sla, secrets };
        let mut state = RunState::new(RunId(uuid::Uuid::nil()), Arc::new(spec), |_| Placement::Child);
        state.handle(Command::Expire, at(0.0));
        state
    }

    fn claim(state: &mut RunState, id: &str, now: Timestamp) {
        let (key, resources) = (StepKey("k".into()), Default::default());
        state.handle(Command::Claim { step: id.into(), key, with: Value::Null, resources }, now);
    }

    /// Does what the engine does every round; returns the alerts that are new.
    fn judge(state: &mut RunState, left: Option<Duration>, now: Timestamp) -> Vec<Alert> {
        let mut new = Vec::new();
        for (alert, message) in alerts(state, NONE, at(0.0), left, now) {
            for event in state.handle(Command::Alert { alert, message }, now).events {
                if let Event::Run(RunEvent::Alerted { alert, .. }) = event {
                    new.push(alert);
                }
            }
        }
        new
    }

    #[test]
    fn an_estimate_of_9_hours_is_silent_and_one_of_99_alerts_once() {
        let sla = Sla { finish_within: HOUR * 12 };
        let mut state = run(Budget::default(), Some(sla), &["a"]);
        claim(&mut state, "a", at(0.0));
        let left = |state: &RunState, done: u64, now: Timestamp| {
            let mark = ProgressMark { done, total: 1000, at: now, first_done: 0, first_at: at(0.0) };
            estimate(&tasks(state, |_| Some(mark), &Default::default()), 1, now).map(|estimate| estimate.left)
        };
        let nine = left(&state, 100, at(1.0));
        assert_eq!(nine, Some(HOUR * 9));
        assert_eq!(judge(&mut state, nine, at(1.0)), []);
        let ninety_nine = left(&state, 10, at(1.0));
        assert_eq!(ninety_nine, Some(HOUR * 99));
        assert_eq!(judge(&mut state, ninety_nine, at(1.0)), [Alert::DeadlineAtRisk]);
        for hour in 2..12 {
            assert_eq!(judge(&mut state, ninety_nine, at(f64::from(hour))), [], "said once");
        }
        assert_eq!(next_judgement(&state, NONE, at(0.0), at(11.0)), Some(at(12.0)));
        assert_eq!(judge(&mut state, ninety_nine, at(12.0)), [Alert::DeadlineMissed]);
        assert_eq!(judge(&mut state, ninety_nine, at(13.0)), []);
    }

    #[test]
    fn a_budget_counts_all_attempts_and_says_when_it_will_be_used_up() {
        let budget = Budget { maximum_compute: Some(HOUR * 10), ..Budget::default() };
        let mut state = run(budget, None, &["a", "b"]);
        claim(&mut state, "a", at(0.0));
        claim(&mut state, "b", at(1.0));
        assert_eq!(compute_used(&state, NONE, at(3.0)).as_hours(), 3 + 2);
        assert_eq!(next_judgement(&state, NONE, at(0.0), at(3.0)), Some(at(5.5)), "5 hours for two attempts");
        assert!(!is_used_up(&state, NONE, at(5.4)) && is_used_up(&state, NONE, at(5.5)));
        assert_eq!(next_judgement(&state, NONE, at(0.0), at(5.5)), None, "nothing more to wake up for");
        state.handle(
            Command::Release { step: "a".into(), fence: Fence(1), cause: ReleaseCause::Stopped, reason: "r".into() },
            at(4.0),
        );
        assert_eq!(compute_used(&state, NONE, at(5.0)).as_hours(), 4 + 4, "what was released counts");
        assert_eq!(judge(&mut state, None, at(7.0)), [Alert::BudgetExhausted]);
        assert_eq!(judge(&mut state, None, at(8.0)), []);
        let to = Budget { maximum_compute: Some(HOUR * 20), ..Budget::default() };
        state.handle(Command::RaiseBudget { to }, at(8.0));
        assert_eq!(judge(&mut state, None, at(8.0)), []);
        assert_eq!(judge(&mut state, None, at(30.0)), [Alert::BudgetExhausted], "a new limit, a new alert");
    }

    #[test]
    fn child_runs_count_for_their_parent() {
        let budget = Budget { maximum_compute: Some(HOUR * 10), ..Budget::default() };
        let mut state = run(budget, None, &["a", "child"]);
        claim(&mut state, "a", at(0.0));
        let children = ChildUsage { compute: SignedDuration::from_hours(4), working: 3 };
        assert_eq!(compute_used(&state, children, at(2.0)).as_hours(), 2 + 4);
        assert_eq!(next_judgement(&state, children, at(0.0), at(2.0)), Some(at(3.0)), "4 hours for four attempts");
        assert!(!is_used_up(&state, children, at(5.9)) && is_used_up(&state, children, at(6.0)));
        let said = alerts(&state, children, at(0.0), None, at(6.0));
        assert!(matches!(said.as_slice(), [(Alert::BudgetExhausted, _)]), "{said:?}");
    }

    #[test]
    fn an_attempt_does_not_work_longer_than_its_lease() {
        let mut state = run(Budget::default(), None, &["a"]);
        claim(&mut state, "a", at(0.0));
        assert_eq!(compute_used(&state, NONE, at(100.0)).as_hours(), 24);
        state.handle(
            Command::Release { step: "a".into(), fence: Fence(1), cause: ReleaseCause::Stopped, reason: "r".into() },
            at(100.0),
        );
        assert_eq!(compute_used(&state, NONE, at(100.0)).as_hours(), 24, "whenever its end is noticed");
    }

    #[test]
    fn money_is_compute() {
        let budget = Budget { maximum_compute: Some(HOUR * 20), cost_per_hour: Some(2.5), maximum_cost: Some(30.0) };
        assert_eq!(budget.cap(), Some(HOUR * 12));
        assert_eq!(budget.cost(SignedDuration::from_hours(4)), Some(10.0));
        assert_eq!(budget.raised(&Budget { maximum_cost: Some(100.0), ..Budget::default() }).cap(), Some(HOUR * 20));
        assert_eq!(Budget::default().cap(), None);
    }
}
