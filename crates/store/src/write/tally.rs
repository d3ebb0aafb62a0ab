//! Accumulates what steps add to the numbers of their run, and children of fan-outs to their parents' rows, and writes it
//! once per transaction instead of once per step.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use stepwell_run::status::StepStatus;

use crate::error::StoreError;

/// Changes to the counters of a fan-out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Change {
    done: i64,
    failed: i64,
    /// Work of attempts, in milliseconds.
    compute_ms: i64,
    /// Children that succeeded by attempts of their own, and their work in milliseconds.
    timed: i64,
    timed_ms: i64,
}

/// Changes to the numbers of a run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct RunChange {
    total: i64,
    done: i64,
    failed: i64,
}

/// Changes of one transaction.
#[must_use = "counters that are not written are wrong"]
#[derive(Default)]
pub(crate) struct Tally {
    runs: BTreeMap<String, RunChange>,
    /// By run and fan-out.
    fan_outs: BTreeMap<(String, String), Change>,
}

/// The effect of one event on a child.
pub(super) struct ChildChange {
    pub(super) before: StepStatus,
    pub(super) after: StepStatus,
    /// Work of the attempt that this event ended, in milliseconds.
    pub(super) worked: i64,
    /// Attempts so far, and their total work in milliseconds.
    pub(super) attempts: u32,
    pub(super) total: i64,
}

fn is_done(status: StepStatus) -> bool {
    matches!(status, StepStatus::Succeeded | StepStatus::Skipped)
}

fn is_failed(status: StepStatus) -> bool {
    status == StepStatus::Failed
}

impl Tally {
    /// Counts a step of a run that changes from one status to another.
    pub(super) fn moved(&mut self, run: &str, before: StepStatus, after: StepStatus) {
        let difference = |counted: fn(StepStatus) -> bool| i64::from(counted(after)) - i64::from(counted(before));
        let (done, failed) = (difference(is_done), difference(is_failed));
        if (done, failed) != (0, 0) {
            let change = self.run(run);
            change.done += done;
            change.failed += failed;
        }
    }

    /// Counts new items of a fan-out.
    pub(super) fn grew(&mut self, run: &str, items: i64) {
        if items > 0 {
            self.run(run).total += items;
        }
    }

    fn run(&mut self, run: &str) -> &mut RunChange {
        self.runs.entry(run.to_owned()).or_default()
    }

    pub(super) fn add(&mut self, run: &str, parent: String, child: &ChildChange) {
        let &ChildChange { before, after, worked, attempts, total } = child;
        let difference = |counted: fn(StepStatus) -> bool| i64::from(counted(after)) - i64::from(counted(before));
        let (done, failed) = (difference(is_done), difference(is_failed));
        let timed = if attempts > 0 { difference(|status| status == StepStatus::Succeeded) } else { 0 };
        let change = Change { done, failed, compute_ms: worked, timed, timed_ms: timed * total };
        if change == Change::default() {
            return;
        }
        let sum = self.fan_outs.entry((run.to_owned(), parent)).or_default();
        sum.done += change.done;
        sum.failed += change.failed;
        sum.compute_ms += change.compute_ms;
        sum.timed += change.timed;
        sum.timed_ms += change.timed_ms;
    }

    /// Call it after the last event of a transaction.
    pub(crate) fn write(self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "UPDATE step SET children_done = children_done + ?3, children_failed = children_failed + ?4,
                       compute_ms = compute_ms + ?5, children_timed = children_timed + ?6,
                       children_timed_ms = children_timed_ms + ?7
                   WHERE run = ?1 AND id = ?2";
        for ((run, parent), Change { done, failed, compute_ms, timed, timed_ms }) in self.fan_outs {
            let values = params![run, parent, done, failed, compute_ms, timed, timed_ms];
            connection.prepare_cached(sql)?.execute(values)?;
        }
        let sql = "UPDATE run_tally SET total = total + ?2, done = done + ?3, failed = failed + ?4 WHERE run = ?1";
        for (run, RunChange { total, done, failed }) in self.runs {
            connection.prepare_cached(sql)?.execute(params![run, total, done, failed])?;
        }
        Ok(())
    }
}
