//! What a run may use up and by when it should be done, and what is to be said when it will not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::decide::later;
use super::event::Alert;
use super::state::RunState;

/// `[budget]` of a workflow. Compute is the time of all attempts of the run, added up.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Budget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_compute: Option<Duration>,
    /// In whatever currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_hour: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_cost: Option<f64>,
}

/// `[sla]` of a workflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sla {
    /// From the submission of the run.
    pub finish_within: Duration,
}

impl Budget {
    pub fn is_unlimited(&self) -> bool {
        *self == Budget::default()
    }

    /// The compute at which the run is paused.
    pub fn cap(&self) -> Option<Duration> {
        let by_cost = match (self.maximum_cost, self.cost_per_hour) {
            (Some(cost), Some(rate)) if rate > 0.0 => Duration::try_from_secs_f64(cost / rate * 3600.0).ok(),
            _ => None,
        };
        [self.maximum_compute, by_cost].into_iter().flatten().min()
    }

    pub fn cost(&self, compute: SignedDuration) -> Option<f64> {
        self.cost_per_hour.map(|rate| rate * compute.as_secs_f64() / 3600.0)
    }

    /// With the limits of `other` where it has any.
    pub fn raised(&self, other: &Budget) -> Budget {
        Budget {
            maximum_compute: other.maximum_compute.or(self.maximum_compute),
            cost_per_hour: other.cost_per_hour.or(self.cost_per_hour),
            maximum_cost: other.maximum_cost.or(self.maximum_cost),
        }
    }

    fn describe(&self) -> String {
        let compute = self.maximum_compute.map(|limit| format!("{} of compute", hours(limit.as_secs_f64())));
        let cost = self.maximum_cost.map(|limit| format!("a cost of {limit}"));
        [compute, cost].into_iter().flatten().collect::<Vec<_>>().join(" or ")
    }
}

/// What attempts have worked so far, running ones included.
pub fn compute_used(state: &RunState, now: Timestamp) -> SignedDuration {
    state.leases().map(|(_, lease)| lease.worked(now)).fold(state.compute, |sum, worked| sum + worked)
}

/// Whether no more may be used.
pub fn is_used_up(state: &RunState, now: Timestamp) -> bool {
    state
        .budget
        .cap()
        .and_then(|cap| SignedDuration::try_from(cap).ok())
        .is_some_and(|cap| compute_used(state, now) >= cap)
}

/// What has to be said now, whether or not it was said before. `left` is the estimated time to the end.
pub fn alerts(
    state: &RunState,
    submitted_at: Timestamp,
    left: Option<Duration>,
    now: Timestamp,
) -> Vec<(Alert, String)> {
    let mut alerts = Vec::new();
    if state.end.is_some() {
        return alerts;
    }
    if is_used_up(state, now) {
        alerts.push((Alert::BudgetExhausted, format!("the budget of {} is used up", state.budget.describe())));
    }
    if let Some(sla) = state.spec().sla {
        let promised = hours(sla.finish_within.as_secs_f64());
        let deadline = later(submitted_at, sla.finish_within);
        if now >= deadline {
            alerts.push((Alert::DeadlineMissed, format!("the run was to finish within {promised}, and has not")));
        } else if let Some(left) = left
            && later(now, left) > deadline
        {
            let late = later(now, left).duration_since(deadline).as_secs_f64();
            let message =
                format!("the run was to finish within {promised}, and is estimated to be {} late", hours(late));
            alerts.push((Alert::DeadlineAtRisk, message));
        }
    }
    alerts
}

/// When [`alerts`] changes its mind even if nothing happens.
pub fn next_judgement(state: &RunState, submitted_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    if state.end.is_some() {
        return None;
    }
    let deadline = state.spec().sla.map(|sla| later(submitted_at, sla.finish_within)).filter(|at| *at > now);
    let working = u32::try_from(state.leases().count()).unwrap_or(u32::MAX);
    let cap = state.budget.cap().filter(|_| working > 0).map(|cap| {
        let used = Duration::try_from(compute_used(state, now)).unwrap_or_default();
        later(now, cap.saturating_sub(used) / working)
    });
    [deadline, cap].into_iter().flatten().min()
}

/// `90 s`, `12.5 min`, `8.0 h`.
pub fn hours(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
