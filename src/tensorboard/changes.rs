//! What has changed in the database since the files were last brought up to date.

use std::collections::{BTreeMap, BTreeSet};

use stepwell_base::ids::{RunId, StepId};

/// A step of a run, whose rows are one series.
pub type Key = (RunId, StepId);

/// Changes of series. Its size is bounded by the number of series that change within a second.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// The first training step that changed, for each series.
    pub series: BTreeMap<Key, u64>,
    /// Series whose attempt has ended: nothing follows for now.
    pub paused: BTreeSet<Key>,
    /// Runs that have started: a fork has rows before its first own one.
    pub started: BTreeSet<RunId>,
    /// Runs that have ended.
    pub ended: BTreeSet<RunId>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.paused.is_empty() && self.started.is_empty() && self.ended.is_empty()
    }

    /// Rows from this training step on were added, replaced or removed.
    pub fn changed(&mut self, run: RunId, step: &StepId, from: u64) {
        match self.series.get_mut(&(run, step.clone())) {
            Some(first) => *first = (*first).min(from),
            None => {
                self.series.insert((run, step.clone()), from);
            }
        }
    }
}
