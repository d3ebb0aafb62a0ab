//! Accumulates what children of fan-outs add to their parents' rows, and writes it once per transaction instead of once
//! per child.

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

/// Changes of one transaction, keyed by run and fan-out.
#[must_use = "counters that are not written are wrong"]
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(String, String), Change>);

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

impl Tally {
    pub(super) fn add(&mut self, run: &str, parent: String, child: &ChildChange) {
        let &ChildChange { before, after, worked, attempts, total } = child;
        let difference = |counted: fn(StepStatus) -> bool| i64::from(counted(after)) - i64::from(counted(before));
        let done = difference(|status| matches!(status, StepStatus::Succeeded | StepStatus::Skipped));
        let failed = difference(|status| status == StepStatus::Failed);
        let timed = if attempts > 0 { difference(|status| status == StepStatus::Succeeded) } else { 0 };
        let change = Change { done, failed, compute_ms: worked, timed, timed_ms: timed * total };
        if change == Change::default() {
            return;
        }
        let sum = self.0.entry((run.to_owned(), parent)).or_default();
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
        for ((run, parent), Change { done, failed, compute_ms, timed, timed_ms }) in self.0 {
            let values = params![run, parent, done, failed, compute_ms, timed, timed_ms];
            connection.prepare_cached(sql)?.execute(values)?;
        }
        Ok(())
    }
}
