//! Orders the ready steps of all runs, and counts the slots and units that they wait for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use jiff::Timestamp;

use stepwell_base::ids::RunId;
use stepwell_run::next::{next_claim, next_claims};
use stepwell_run::state::{ClassIndex, StepIndex};
use stepwell_workflow::pools::{Free, Held};

use crate::executors::{AttemptId, Executor};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::state::attempts::Running;
use crate::engine::state::run::Run;

/// First step of one class of one run. The run with the higher priority comes first, then the step with the higher
/// priority, then the step that has been ready for longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Candidate {
    priority: (Reverse<i32>, Reverse<i32>),
    ready_at: Timestamp,
    pub run: RunId,
    pub step: StepIndex,
    pub class: ClassIndex,
}

impl Candidate {
    fn new(id: RunId, run: &Run, (class, ready_at, step): (ClassIndex, Timestamp, StepIndex)) -> Candidate {
        let priority = (Reverse(run.priority), Reverse(run.state.class(class).priority));
        Candidate { priority, ready_at, run: id, step, class }
    }
}

/// Attempts that may still start, on this machine and on each executor.
pub(crate) struct Slots {
    here: usize,
    elsewhere: BTreeMap<String, usize>,
}

impl Slots {
    /// An executor that is not configured has no limit: its steps fail at their turn.
    pub(crate) fn has(&self, executor: Option<&str>) -> bool {
        match executor {
            None => self.here > 0,
            Some(name) => self.elsewhere.get(name).is_none_or(|left| *left > 0),
        }
    }

    pub(crate) fn take(&mut self, executor: Option<&str>) {
        let left = match executor {
            None => Some(&mut self.here),
            Some(name) => self.elsewhere.get_mut(name),
        };
        if let Some(left) = left {
            *left = left.saturating_sub(1);
        }
    }
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Numbers of attempts that may still start.
    pub(crate) fn free_slots(&self) -> Slots {
        let limits = &self.options.limits.executors.by_name;
        let elsewhere = limits.iter().map(|(name, executor)| (name.clone(), executor.slots));
        let mut slots = Slots { here: self.options.slots.max(1), elsewhere: elsewhere.collect() };
        // A claim of this round already holds its slot, although it starts only after the commit.
        let prepared = self.prepared.values().map(|prepared| prepared.executor.as_deref());
        self.attempts.executors().chain(prepared).for_each(|executor| slots.take(executor));
        slots
    }

    /// Returns one candidate per class of each run: a million steps that wait for a pool cost one look.
    pub(crate) fn queue(&mut self, now: Timestamp) -> BinaryHeap<Reverse<Candidate>> {
        let ready = self.runs.ready(self.round_at).map(|(id, _)| id).collect::<Vec<_>>();
        let driven = ready.into_iter().filter(|id| self.drives(*id));
        let candidates = |id: RunId| {
            let run = self.runs.get(&id);
            let heads = run.into_iter().flat_map(|run| next_claims(&run.state, now).map(move |head| (run, head)));
            heads.map(move |(run, head)| Reverse(Candidate::new(id, run, head)))
        };
        driven.flat_map(candidates).collect()
    }

    /// Returns the next candidate in the class of one that has had its turn.
    pub(crate) fn next_in_class(&self, last: &Candidate) -> Option<Candidate> {
        let run = self.runs.get(&last.run)?;
        let (ready_at, step) = next_claim(&run.state, last.class, self.clock.now())?;
        Some(Candidate::new(last.run, run, (last.class, ready_at, step)))
    }

    /// Returns the free pool units. A lease holds its units, and so does an attempt whose lease has ended but whose
    /// processes have not.
    pub(crate) fn free_units(&mut self) -> Free {
        let pools = &self.options.limits.pools;
        if pools.0.is_empty() {
            return pools.free(std::iter::empty());
        }
        let is_leased = |(id, _): &(&AttemptId, &Running)| {
            let step = self.runs.get(&id.run).and_then(|run| run.state.step(&id.step));
            step.and_then(|step| step.lease()).is_some_and(|lease| lease.fence == id.fence)
        };
        let ending = self.attempts.iter().filter(|attempt| !is_leased(attempt)).map(|(_, a)| &a.resources);
        let ending: Vec<&Held> = ending.collect();
        let leased = self.runs.leased(self.round_at);
        let leased = leased.flat_map(|(_, run)| run.state.leases().map(|(_, lease)| &lease.resources));
        pools.free(leased.chain(ending))
    }
}
