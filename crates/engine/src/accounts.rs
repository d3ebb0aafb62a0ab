//! What child runs have used up counts for every run above them that has a budget.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::executors::Executor;
use stepwell_base::ids::RunId;
use stepwell_run::judgement::ChildUsage;
use stepwell_store::StoreError;
use stepwell_workflow::budget::Budget;

use super::clock::Clock;
use super::drive::Engine;
use super::error::EngineError;

/// Work of ended attempts, for each run with a budget: the sum over all runs below it.
#[derive(Default)]
pub(super) struct Accounts {
    by_run: HashMap<RunId, SignedDuration>,
    /// Runs without a budget.
    free: HashSet<RunId>,
}

impl Accounts {
    /// Some attempts of a run have ended.
    pub(super) fn add(&mut self, ancestors: &[RunId], worked: SignedDuration) {
        for ancestor in ancestors {
            if let Some(below) = self.by_run.get_mut(ancestor) {
                *below += worked;
            }
        }
    }

    /// It is opened again when it is needed: the budget has changed.
    pub(super) fn close(&mut self, run: RunId) {
        self.by_run.remove(&run);
        self.free.remove(&run);
    }

    fn is_open(&self, run: RunId) -> bool {
        self.by_run.contains_key(&run) || self.free.contains(&run)
    }
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Looks up for each run that has come into memory who pays for it. A run above it that has a budget is
    /// loaded, whether or not this engine drives it.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(super) fn open_accounts(&mut self) -> Result<(), EngineError> {
        loop {
            let new = self.runs.unaccounted(self.round_at);
            if new.is_empty() {
                return Ok(());
            }
            for id in new {
                let Some(run) = self.runs.get_mut(&id) else { continue };
                run.accounted = true;
                let payers: Vec<RunId> = run.ancestors.iter().copied().chain([id]).collect();
                for payer in payers {
                    if !self.accounts.is_open(payer) {
                        self.open_account(payer)?;
                    }
                }
            }
        }
    }

    fn open_account(&mut self, payer: RunId) -> Result<(), EngineError> {
        let budget = match self.runs.get(&payer) {
            Some(run) => run.state.budget,
            None => match self.stored_budget(payer) {
                Err(error) if error.concerns_one_run() => {
                    self.set_aside(payer, &error.to_string());
                    Budget::default()
                }
                budget => budget?,
            },
        };
        if budget.cap().is_none() {
            self.accounts.free.insert(payer);
            return Ok(());
        }
        // What was decided has to be in the sums.
        self.flush()?;
        if self.load_readable(payer)?.is_err() {
            self.accounts.free.insert(payer);
            return Ok(());
        }
        let (own, below) = (self.store.reader().compute(payer)?, self.store.reader().compute_of_descendants(payer)?);
        if let Some(run) = self.runs.get_mut(&payer) {
            run.state.compute = own;
        }
        self.accounts.by_run.insert(payer, below);
        Ok(())
    }

    /// Nobody pays for a run that has ended.
    fn stored_budget(&self, payer: RunId) -> Result<Budget, StoreError> {
        match self.store.reader().run(payer)?.stored_status.is_terminal() {
            true => Ok(Budget::default()),
            false => self.store.reader().budget(payer),
        }
    }

    /// What the runs below each run with a budget have used until now.
    pub(super) fn below(&mut self, now: Timestamp) -> HashMap<RunId, ChildUsage> {
        let open = self.accounts.by_run.iter();
        let mut all: HashMap<RunId, ChildUsage> =
            open.map(|(&run, &compute)| (run, ChildUsage { compute, working: 0 })).collect();
        if all.is_empty() {
            return all;
        }
        for (_, run) in self.runs.leased(self.round_at) {
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
