//! Decides which runs are old enough to be pruned.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use stepwell_base::ids::RunId;

use super::status::RunStatus;

/// Rules that keep ended runs. A run stays if any rule keeps it; without rules, all runs stay.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Retention {
    /// Keep this many of the ended runs of each workflow: the newest that succeeded, then the newest of the others.
    pub keep_runs: Option<u64>,
    /// Keep runs that ended within this many days.
    pub keep_days: Option<u64>,
    pub keep_best: Option<KeepBest>,
}

/// Keep this many of the succeeded runs of each workflow: those with the best value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeepBest {
    pub count: u64,
    /// A value of a step, such as `eval.bits_per_byte`.
    pub by: String,
    pub goal: Goal,
}

/// Direction in which a value gets better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    Min,
    Max,
}

impl Goal {
    pub const NAMES: [&'static str; 2] = ["min", "max"];

    pub fn as_str(self) -> &'static str {
        match self {
            Goal::Min => "min",
            Goal::Max => "max",
        }
    }

    /// The better one of two values.
    pub fn better(self, one: f64, other: f64) -> f64 {
        match self {
            Goal::Min => one.min(other),
            Goal::Max => one.max(other),
        }
    }

    /// Sorts values best first.
    fn rank(self, value: f64) -> f64 {
        match self {
            Goal::Min => value,
            Goal::Max => -value,
        }
    }
}

impl FromStr for Goal {
    type Err = UnknownGoal;

    fn from_str(text: &str) -> Result<Goal, UnknownGoal> {
        [Goal::Min, Goal::Max].into_iter().find(|goal| goal.as_str() == text).ok_or(UnknownGoal)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be `min` or `max`")]
pub struct UnknownGoal;

impl KeepBest {
    /// Step and name of the value; `None` if it is no `STEP.VALUE`.
    pub fn step_and_value(&self) -> Option<(&str, &str)> {
        self.by.split_once('.').filter(|(step, value)| !step.is_empty() && !value.is_empty())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Ended {
    pub run: RunId,
    pub workflow: String,
    pub at: Timestamp,
    pub status: RunStatus,
    /// The value that [`KeepBest`] names; `None` if the run has no such number.
    pub value: Option<f64>,
}

impl Ended {
    /// Sorts the runs that a person is most likely to want first.
    fn worth(&self) -> (bool, Timestamp, RunId) {
        (self.status == RunStatus::Succeeded, self.at, self.run)
    }
}

impl Retention {
    pub fn has_rules(&self) -> bool {
        *self != Retention::default()
    }

    /// Returns the runs that no rule keeps: failed and canceled ones first, then oldest first.
    pub fn expired(&self, ended: &[Ended], now: Timestamp) -> Vec<RunId> {
        if !self.has_rules() {
            return Vec::new();
        }
        let best = self.keep_best.as_ref().map(|rule| rule.best(ended)).unwrap_or_default();
        // Alone, the rule judges only workflows that have its value: it says nothing about the others.
        let is_alone = self.keep_runs.is_none() && self.keep_days.is_none();
        let judged: HashSet<&str> =
            ended.iter().filter(|run| !is_alone || run.value.is_some()).map(|run| run.workflow.as_str()).collect();
        let mut best_first: Vec<&Ended> = ended.iter().collect();
        best_first.sort_by_key(|ended| Reverse(ended.worth()));
        let mut better: HashMap<&str, u64> = HashMap::new();
        let mut expired = Vec::new();
        for Ended { run, workflow, at, .. } in best_first {
            let better = better.entry(workflow).or_default();
            let among_newest = self.keep_runs.is_some_and(|keep| *better < keep);
            let recent = self.keep_days.is_some_and(|days| {
                let hours = i64::try_from(days.saturating_mul(24)).unwrap_or(i64::MAX / 3600);
                now.duration_since(*at) < SignedDuration::from_hours(hours.min(i64::MAX / 3600))
            });
            *better += 1;
            if !among_newest && !recent && !best.contains(run) && judged.contains(workflow.as_str()) {
                expired.push(*run);
            }
        }
        expired.reverse();
        expired
    }
}

impl KeepBest {
    /// The best runs of each workflow. Of equal runs the newest is the best; a value that is no number is none.
    fn best(&self, ended: &[Ended]) -> HashSet<RunId> {
        let mut measured: Vec<(f64, &Ended)> = ended
            .iter()
            .filter(|ended| ended.status == RunStatus::Succeeded)
            .filter_map(|ended| Some((ended.value.filter(|value| value.is_finite())?, ended)))
            .collect();
        let rank = |value: f64| self.goal.rank(value);
        measured.sort_by(|(one, a), (other, b)| rank(*one).total_cmp(&rank(*other)).then(b.at.cmp(&a.at)));
        let mut count: HashMap<&str, u64> = HashMap::new();
        let mut best = HashSet::new();
        for (_, ended) in measured {
            let better = count.entry(&ended.workflow).or_default();
            if *better < self.count {
                best.insert(ended.run);
            }
            *better += 1;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ended(workflow: &str, number: u128, days_ago: i64) -> Ended {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (1000 - days_ago));
        Ended {
            run: RunId(Uuid::from_u128(number)),
            workflow: workflow.to_owned(),
            at,
            status: RunStatus::Succeeded,
            value: None,
        }
    }

    fn expired(keep_runs: Option<u64>, keep_days: Option<u64>) -> Vec<u128> {
        let runs = [ended("a", 1, 9), ended("a", 2, 5), ended("b", 3, 30), ended("a", 4, 1)];
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 1000);
        let expired = Retention { keep_runs, keep_days, keep_best: None }.expired(&runs, now);
        expired.into_iter().map(|run| run.0.as_u128()).collect()
    }

    #[test]
    fn failed_and_canceled_runs_go_first() {
        let mut runs = [ended("a", 1, 9), ended("a", 2, 5), ended("a", 3, 2), ended("a", 4, 1)];
        runs[2].status = RunStatus::Failed;
        runs[3].status = RunStatus::Canceled;
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 1000);
        let expired = |keep_runs, keep_days| {
            let expired = Retention { keep_runs, keep_days, keep_best: None }.expired(&runs, now);
            expired.into_iter().map(|run| run.0.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(expired(Some(2), None), [3, 4]);
        assert_eq!(expired(Some(1), None), [3, 4, 1]);
        assert_eq!(expired(Some(3), None), [3]);
        assert_eq!(expired(Some(1), Some(3)), [1]);
        assert_eq!(expired(None, Some(3)), [1, 2]);
    }

    #[test]
    fn each_rule_keeps_and_together_they_keep_more() {
        assert_eq!(expired(None, None), [0; 0]);
        assert_eq!(expired(Some(1), None), [1, 2]);
        assert_eq!(expired(Some(0), None), [3, 1, 2, 4]);
        assert_eq!(expired(None, Some(7)), [3, 1]);
        assert_eq!(expired(Some(1), Some(7)), [1]);
        assert_eq!(expired(None, Some(u64::MAX)), [0; 0]);
    }

    #[test]
    fn the_best_stay_beside_what_other_rules_keep() {
        let mut runs: Vec<Ended> = (1..=6).map(|number| ended("a", number, 10 - number as i64)).collect();
        let values = [Some(2.0), Some(1.0), None, Some(1.0), Some(f64::NAN), Some(3.0)];
        for (run, value) in runs.iter_mut().zip(values) {
            run.value = value;
        }
        // A failed run is not the best, whatever it measured.
        runs.push(Ended { value: Some(0.0), status: RunStatus::Failed, ..ended("a", 7, 1) });
        runs.push(Ended { value: Some(9.0), ..ended("b", 8, 30) });
        runs.push(ended("c", 9, 30));
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 1000);
        let left = |keep_runs, count, goal| {
            let keep_best = Some(KeepBest { count, by: "eval.loss".to_owned(), goal });
            let expired = Retention { keep_runs, keep_days: None, keep_best }.expired(&runs, now);
            let left = runs.iter().filter(|run| !expired.contains(&run.run));
            left.map(|run| run.run.0.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(left(None, 1, Goal::Min), [4, 8, 9], "of equal runs the newest");
        assert_eq!(left(None, 2, Goal::Min), [2, 4, 8, 9]);
        assert_eq!(left(None, 1, Goal::Max), [6, 8, 9]);
        assert_eq!(left(Some(1), 1, Goal::Min), [4, 6, 8, 9]);
        assert_eq!(left(None, 0, Goal::Min), [9]);
    }
}
