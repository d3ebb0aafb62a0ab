//! Decides which runs are old enough to be pruned.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use stepwell_base::ids::RunId;

/// Rules that keep ended runs. A run stays if any rule keeps it; without rules, all runs stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// Keep this many of the newest ended runs of each workflow.
    pub keep_runs: Option<u64>,
    /// Keep runs that ended within this many days.
    pub keep_days: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    pub run: RunId,
    pub workflow: String,
    pub at: Timestamp,
}

impl Retention {
    /// Returns the runs that no rule keeps, oldest first.
    pub fn expired(&self, ended: &[Ended], now: Timestamp) -> Vec<RunId> {
        if *self == Retention::default() {
            return Vec::new();
        }
        let mut newest_first: Vec<&Ended> = ended.iter().collect();
        newest_first.sort_by_key(|ended| std::cmp::Reverse((ended.at, ended.run)));
        let mut newer: HashMap<&str, u64> = HashMap::new();
        let mut expired = Vec::new();
        for Ended { run, workflow, at } in newest_first {
            let newer = newer.entry(workflow).or_default();
            let among_newest = self.keep_runs.is_some_and(|keep| *newer < keep);
            let recent = self.keep_days.is_some_and(|days| {
                let hours = i64::try_from(days.saturating_mul(24)).unwrap_or(i64::MAX / 3600);
                now.duration_since(*at) < SignedDuration::from_hours(hours.min(i64::MAX / 3600))
            });
            *newer += 1;
            if !among_newest && !recent {
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
        Ended { run: RunId(Uuid::from_u128(number)), workflow: workflow.to_owned(), at }
    }

    fn expired(keep_runs: Option<u64>, keep_days: Option<u64>) -> Vec<u128> {
        let runs = [ended("a", 1, 9), ended("a", 2, 5), ended("b", 3, 30), ended("a", 4, 1)];
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 1000);
        let expired = Retention { keep_runs, keep_days }.expired(&runs, now);
        expired.into_iter().map(|run| run.0.as_u128()).collect()
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
