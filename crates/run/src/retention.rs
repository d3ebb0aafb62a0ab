//! Decides which runs are old enough to be pruned.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use stepwell_base::ids::RunId;

use super::status::RunStatus;

/// Rules that keep ended runs. A run stays if any rule keeps it; without rules, all runs stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// Keep this many of the ended runs of each workflow: the newest that succeeded, then the newest of the others.
    pub keep_runs: Option<u64>,
    /// Keep runs that ended within this many days.
    pub keep_days: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    pub run: RunId,
    pub workflow: String,
    pub at: Timestamp,
    pub status: RunStatus,
}

impl Ended {
    /// Sorts the runs that a person is most likely to want first.
    fn worth(&self) -> (bool, Timestamp, RunId) {
        (self.status == RunStatus::Succeeded, self.at, self.run)
    }
}

impl Retention {
    /// Returns the runs that no rule keeps: failed and canceled ones first, then oldest first.
    pub fn expired(&self, ended: &[Ended], now: Timestamp) -> Vec<RunId> {
        if *self == Retention::default() {
            return Vec::new();
        }
        let mut best_first: Vec<&Ended> = ended.iter().collect();
        best_first.sort_by_key(|ended| std::cmp::Reverse(ended.worth()));
        let mut better: HashMap<&str, u64> = HashMap::new();
        let mut expired = Vec::new();
        for Ended { run, workflow, at, .. } in best_first {
            let better = better.entry(workflow).or_default();
            let among_best = self.keep_runs.is_some_and(|keep| *better < keep);
            let recent = self.keep_days.is_some_and(|days| {
                let hours = i64::try_from(days.saturating_mul(24)).unwrap_or(i64::MAX / 3600);
                now.duration_since(*at) < SignedDuration::from_hours(hours.min(i64::MAX / 3600))
            });
            *better += 1;
            if !among_best && !recent {
                expired.push(*run);
            }
        }
        expired.reverse();
        expired
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ended(workflow: &str, number: u128, days_ago: i64) -> Ended {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (1000 - days_ago));
        Ended { run: RunId(Uuid::from_u128(number)), workflow: workflow.to_owned(), at, status: RunStatus::Succeeded }
    }

    fn expired(keep_runs: Option<u64>, keep_days: Option<u64>) -> Vec<u128> {
        let runs = [ended("a", 1, 9), ended("a", 2, 5), ended("b", 3, 30), ended("a", 4, 1)];
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 1000);
        let expired = Retention { keep_runs, keep_days }.expired(&runs, now);
        expired.into_iter().map(|run| run.0.as_u128()).collect()
    }

    #[test]
    fn failed_and_canceled_runs_go_first() {
        let mut runs = [ended("a", 1, 9), ended("a", 2, 5), ended("a", 3, 2), ended("a", 4, 1)];
        runs[2].status = RunStatus::Failed;
        runs[3].status = RunStatus::Canceled;
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 1000);
        let expired = |keep_runs, keep_days| {
            let expired = Retention { keep_runs, keep_days }.expired(&runs, now);
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
}
