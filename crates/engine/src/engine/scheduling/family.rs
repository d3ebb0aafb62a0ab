//! Parents and child runs that must learn each other's state.

use std::collections::BTreeSet;

use stepwell_base::ids::{RunId, StepId};

/// Steps whose wait for a child run needs a check: parent, step, child.
#[derive(Default)]
pub(crate) struct Family {
    waits: BTreeSet<(RunId, StepId, RunId)>,
}

impl Family {
    /// True if every parent and child knows the other's state.
    pub(crate) fn is_settled(&self) -> bool {
        self.waits.is_empty()
    }

    pub(crate) fn awaits(&mut self, parent: RunId, step: StepId, child: RunId) {
        self.waits.insert((parent, step, child));
    }

    pub(crate) fn next(&mut self) -> Option<(RunId, StepId, RunId)> {
        self.waits.pop_first()
    }

    #[cfg(test)]
    pub(crate) fn waits(&self) -> &BTreeSet<(RunId, StepId, RunId)> {
        &self.waits
    }
}
