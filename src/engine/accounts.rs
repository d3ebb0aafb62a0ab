//! What child runs have used up counts for every run above them that has a budget.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::core::budget::Below;
use crate::core::ids::RunId;

use super::drive::Engine;
use super::error::EngineError;

/// Work of ended attempts of all runs below a run; `None` for a run without a budget.
#[derive(Default)]
pub(super) struct Accounts {
    by_run: HashMap<RunId, Option<SignedDuration>>,
}

impl Accounts {
    /// Some attempts of a run have ended.
    pub(super) fn add(&mut self, ancestors: &[RunId], worked: SignedDuration) {
        for ancestor in ancestors {
            if let Some(Some(below)) = self.by_run.get_mut(ancestor) {
                *below += worked;
            }
        }
    }

    /// It is opened again when it is needed: the budget has changed.
    pub(super) fn close(&mut self, run: RunId) {
        self.by_run.remove(&run);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(RunId) -> bool) {
        self.by_run.retain(|run, _| keep(*run));
    }
}

impl Engine<'_> {
    /// Looks up for each run that has come into memory who pays for it. A run above it that has a budget is
    /// loaded, whether or not this engine drives it.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(super) fn open_accounts(&mut self) -> Result<(), EngineError> {
        loop {
            let new: Vec<RunId> = self.runs.iter().filter(|(_, run)| !run.accounted).map(|(&id, _)| id).collect();
            if new.is_empty() {
                return Ok(());
            }
            for id in new {
                let Some(run) = self.runs.get_mut(&id) else { continue };
                run.accounted = true;
                let payers: Vec<RunId> = run.ancestors.iter().copied().chain([id]).collect();
                for payer in payers {
                    if !self.accounts.by_run.contains_key(&payer) {
                        self.open_account(payer)?;
                    }
                }
            }
        }
    }

    fn open_account(&mut self, payer: RunId) -> Result<(), EngineError> {
        let budget = match self.runs.get(&payer) {
            Some(run) => run.state.budget,
            None if self.store.run(payer)?.stored_status.is_terminal() => Default::default(),
            None => self.store.budget(payer)?,
        };
        if budget.cap().is_none() {
            self.accounts.by_run.insert(payer, None);
            return Ok(());
        }
        // What was decided has to be in the sums.
        self.flush()?;
        self.load(payer)?;
        let (own, below) = (self.store.compute(payer)?, self.store.compute_below(payer)?);
        if let Some(run) = self.runs.get_mut(&payer) {
            run.state.compute = own;
        }
        self.accounts.by_run.insert(payer, Some(below));
        Ok(())
    }

    /// What the runs below each run with a budget have used until now.
    pub(super) fn below(&self, now: Timestamp) -> HashMap<RunId, Below> {
        let open = self.accounts.by_run.iter().filter_map(|(run, below)| Some((*run, (*below)?)));
        let mut all: HashMap<RunId, Below> = open.map(|(run, compute)| (run, Below { compute, working: 0 })).collect();
        if all.is_empty() {
            return all;
        }
        for run in self.runs.values().filter(|run| !run.ancestors.is_empty()) {
            for (_, lease) in run.state.leases() {
                for ancestor in &run.ancestors {
                    if let Some(below) = all.get_mut(ancestor) {
                        below.compute += lease.worked(now);
                        below.working += 1;
                    }
                }
            }
        }
        all
    }
}
