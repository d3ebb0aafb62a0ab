//! Limits of a run: its compute, its cost, its deadline.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// `[budget]` of a workflow. Compute is the total time of all attempts of the run.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Budget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_compute: Option<Duration>,
    /// In any currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_hour: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_cost: Option<f64>,
}

/// `[sla]` of a workflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sla {
    /// Counted from the submission of the run.
    pub finish_within: Duration,
}

impl Budget {
    pub fn is_unlimited(&self) -> bool {
        *self == Budget::default()
    }

    /// Compute at which the run is paused: the lower of the two limits.
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

    /// Returns this budget with the limits that `other` sets.
    pub fn raised(&self, other: &Budget) -> Budget {
        Budget {
            maximum_compute: other.maximum_compute.or(self.maximum_compute),
            cost_per_hour: other.cost_per_hour.or(self.cost_per_hour),
            maximum_cost: other.maximum_cost.or(self.maximum_cost),
        }
    }

    /// The limits in words.
    pub fn describe(&self) -> String {
        let compute = self.maximum_compute.map(|limit| format!("{} of compute", hours(limit.as_secs_f64())));
        let cost = self.maximum_cost.map(|limit| format!("a cost of {limit}"));
        [compute, cost].into_iter().flatten().collect::<Vec<_>>().join(" or ")
    }
}

/// Formats seconds as `90 s`, `12.5 min` or `8.0 h`.
pub fn hours(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
