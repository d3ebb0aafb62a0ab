//! In what order the ready steps of all runs get their turn, and what they have to wait for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use jiff::Timestamp;

use stepwell_base::ids::RunId;
use stepwell_run::next::{next_claim, next_claims};
use stepwell_run::state::{ClassIndex, StepIndex};
use stepwell_workflow::limits::Class;
use stepwell_workflow::pools::{Free, Held};
use stepwell_workflow::rate_limit::Window;

use crate::executors::{AttemptId, Executor};

use super::attempts::Running;
use super::clock::Clock;
use super::drive::Engine;
use super::error::EngineError;
use super::run::Run;

/// The first step of one class of one run, ordered by whose turn it is: the priority of the run, that of the
/// step, then who has been ready for longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Candidate {
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

/// Starts under each rate limit, and when the next one is allowed.
#[derive(Default)]
pub(super) struct Windows {
    by_name: BTreeMap<String, Window>,
    /// The next time at which a step that waited in the last round may start.
    pub deadline: Option<Timestamp>,
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Child processes that may still be started.
    pub(super) fn free_slots(&self) -> usize {
        // A claim of this round holds its slot already, although it starts only after the commit.
        self.options.slots.max(1).saturating_sub(self.attempts.working() + self.prepared.len())
    }

    /// One candidate per class of each run: a million steps that wait for a pool are looked at once.
    pub(super) fn queue(&mut self, now: Timestamp) -> BinaryHeap<Reverse<Candidate>> {
        let ready = self.runs.ready(self.round_at).map(|(id, _)| id).collect::<Vec<_>>();
        let driven = ready.into_iter().filter(|id| self.drives(*id));
        let candidates = |id: RunId| {
            let run = self.runs.get(&id);
            let heads = run.into_iter().flat_map(|run| next_claims(&run.state, now).map(move |head| (run, head)));
            heads.map(move |(run, head)| Reverse(Candidate::new(id, run, head)))
        };
        driven.flat_map(candidates).collect()
    }

    /// Who is next in the class of a candidate that has had its turn.
    pub(super) fn next_in_class(&self, last: &Candidate) -> Option<Candidate> {
        let run = self.runs.get(&last.run)?;
        let (ready_at, step) = next_claim(&run.state, last.class, self.clock.now())?;
        Some(Candidate::new(last.run, run, (last.class, ready_at, step)))
    }

    /// What no lease holds, and no attempt whose lease has ended but whose processes have not.
    pub(super) fn free_units(&mut self) -> Free {
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

    /// Whether the rate limit of a class lets an attempt start now; else its time becomes a deadline.
    pub(super) fn rate_allows(&mut self, class: &Class) -> bool {
        let Some(name) = &class.rate_limit else { return true };
        // A limit that does not exist is told when the step gets its turn.
        let Some(&limit) = self.options.limits.rate_limits.get(name) else { return true };
        let now = self.clock.now();
        let at = self.windows.by_name.entry(name.clone()).or_default().next_allowed(limit, now);
        if at <= now {
            return true;
        }
        self.windows.deadline = Some(self.windows.deadline.map_or(at, |earlier| earlier.min(at)));
        false
    }

    /// After the claim was decided: a start must not count as earlier than it was.
    pub(super) fn count_start(&mut self, class: &Class) {
        if let Some(name) = &class.rate_limit {
            self.windows.by_name.entry(name.clone()).or_default().add(self.clock.now());
        }
    }

    /// The starts of earlier engines that still count.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn restore_windows(&mut self) -> Result<(), EngineError> {
        let Some(longest) = self.options.limits.rate_limits.values().map(|limit| limit.per).max() else {
            return Ok(());
        };
        let since = self.clock.wall().checked_sub(longest).unwrap_or(Timestamp::MIN);
        for (name, start) in self.store.reader().limited_starts(since)? {
            self.windows.by_name.entry(name).or_default().add(start);
        }
        Ok(())
    }
}
