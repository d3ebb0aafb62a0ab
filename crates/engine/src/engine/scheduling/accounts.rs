//! Compute of child runs, charged to every run above them that has a budget.

use std::collections::{HashMap, HashSet};

use jiff::SignedDuration;

use stepwell_base::ids::RunId;

/// For each run with a budget: the work of ended attempts in all runs below it.
#[derive(Default)]
pub(crate) struct Accounts {
    by_run: HashMap<RunId, SignedDuration>,
    /// Runs without a budget.
    free: HashSet<RunId>,
}

impl Accounts {
    /// Charges the work of ended attempts to every ancestor with a budget.
    pub(crate) fn add(&mut self, ancestors: &[RunId], worked: SignedDuration) {
        for ancestor in ancestors {
            if let Some(below) = self.by_run.get_mut(ancestor) {
                *below += worked;
            }
        }
    }

    /// Closes the account after a budget change. The next use opens it again.
    pub(crate) fn close(&mut self, run: RunId) {
        self.by_run.remove(&run);
        self.free.remove(&run);
    }

    pub(crate) fn is_open(&self, run: RunId) -> bool {
        self.by_run.contains_key(&run) || self.free.contains(&run)
    }

    pub(crate) fn open(&mut self, run: RunId, below: SignedDuration) {
        self.by_run.insert(run, below);
    }

    pub(crate) fn open_without_budget(&mut self, run: RunId) {
        self.free.insert(run);
    }

    /// Work of the ended attempts below each run with a budget.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RunId, SignedDuration)> {
        self.by_run.iter().map(|(&run, &work)| (run, work))
    }
}
