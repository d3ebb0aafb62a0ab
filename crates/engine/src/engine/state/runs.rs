//! Runs in the engine's memory, indexed by the work they need. A round visits only runs with work, not thousands that
//! wait for a person.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use stepwell_base::ids::RunId;
use stepwell_run::next::{next_child_deadline, next_deadline};
use stepwell_run::state::Lifecycle;

use crate::engine::state::run::Run;

/// Indexes that contain a run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Wants {
    deadline: Option<Timestamp>,
    has_ready: bool,
    has_leases: bool,
    /// Work is in progress or can start without a person or a signal.
    is_busy: bool,
    is_judged: bool,
    is_unaccounted: bool,
    has_ended: bool,
}

#[derive(Default)]
pub(crate) struct Runs {
    all: BTreeMap<RunId, Run>,
    wants: BTreeMap<RunId, Wants>,
    /// Runs that changed since they were last indexed.
    touched: BTreeSet<RunId>,
    /// Runs loaded since the last clock check, which applies what the tables imply.
    loaded: BTreeSet<RunId>,
    deadlines: BTreeSet<(Timestamp, RunId)>,
    ready: BTreeSet<RunId>,
    leased: BTreeSet<RunId>,
    busy: BTreeSet<RunId>,
    judged: BTreeSet<RunId>,
    unaccounted: BTreeSet<RunId>,
    ended: BTreeSet<RunId>,
}

impl Runs {
    pub(crate) fn get(&self, id: &RunId) -> Option<&Run> {
        self.all.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &RunId) -> Option<&mut Run> {
        self.touch(*id);
        self.all.get_mut(id)
    }

    /// Records that an outside event changed what the run needs.
    pub(crate) fn touch(&mut self, id: RunId) {
        self.touched.insert(id);
    }

    #[cfg(test)]
    pub(crate) fn touched(&self) -> usize {
        self.touched.len()
    }

    pub(crate) fn contains_key(&self, id: &RunId) -> bool {
        self.all.contains_key(id)
    }

    pub(crate) fn insert(&mut self, id: RunId, run: Run) {
        self.touch(id);
        self.loaded.insert(id);
        self.all.insert(id, run);
    }

    pub(crate) fn remove(&mut self, id: &RunId) -> Option<Run> {
        self.touch(*id);
        self.loaded.remove(id);
        self.all.remove(id)
    }

    pub(crate) fn clear(&mut self) {
        *self = Runs::default();
    }

    pub(crate) fn ids(&self) -> Vec<RunId> {
        self.all.keys().copied().collect()
    }

    /// The next deadline of any run. Deadlines that pass after `round_at` belong to the next round.
    pub(crate) fn next_deadline(&mut self, round_at: Timestamp) -> Option<Timestamp> {
        self.note_wants(round_at);
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Runs that need a clock check: they are due or were just loaded.
    pub(crate) fn due(&mut self, round_at: Timestamp, now: Timestamp) -> BTreeSet<RunId> {
        self.note_wants(round_at);
        let mut due = std::mem::take(&mut self.loaded);
        due.extend(self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id));
        // A backoff that has ended is no longer a deadline.
        self.touched.extend(&due);
        due
    }

    /// Runs with ready steps.
    pub(crate) fn ready(&mut self, round_at: Timestamp) -> impl Iterator<Item = (RunId, &Run)> {
        self.note_wants(round_at);
        some(&self.all, &self.ready)
    }

    pub(crate) fn leased(&mut self, round_at: Timestamp) -> impl Iterator<Item = (RunId, &Run)> {
        self.note_wants(round_at);
        some(&self.all, &self.leased)
    }

    /// Runs with a budget or a deadline of their own.
    pub(crate) fn judged(&mut self, round_at: Timestamp) -> impl Iterator<Item = (RunId, &Run)> {
        self.note_wants(round_at);
        some(&self.all, &self.judged)
    }

    /// Runs whose payer is not known yet.
    pub(crate) fn unaccounted(&mut self, round_at: Timestamp) -> Vec<RunId> {
        self.note_wants(round_at);
        self.unaccounted.iter().copied().collect()
    }

    pub(crate) fn ended(&mut self, round_at: Timestamp) -> Vec<RunId> {
        self.note_wants(round_at);
        self.ended.iter().copied().collect()
    }

    /// True if every run is paused or only waits.
    pub(crate) fn is_idle(&mut self, round_at: Timestamp) -> bool {
        self.note_wants(round_at);
        self.busy.is_empty()
    }

    fn note_wants(&mut self, round_at: Timestamp) {
        for id in std::mem::take(&mut self.touched) {
            let wants = self.wants_of(id, round_at);
            let before = match wants {
                Some(wants) => self.wants.insert(id, wants),
                None => self.wants.remove(&id),
            };
            let (before, wants) = (before.unwrap_or_default(), wants.unwrap_or_default());
            if before.deadline != wants.deadline {
                before.deadline.map(|at| self.deadlines.remove(&(at, id)));
                self.deadlines.extend(wants.deadline.map(|at| (at, id)));
            }
            for (set, wanted) in [
                (&mut self.ready, wants.has_ready),
                (&mut self.leased, wants.has_leases),
                (&mut self.busy, wants.is_busy),
                (&mut self.judged, wants.is_judged),
                (&mut self.unaccounted, wants.is_unaccounted),
                (&mut self.ended, wants.has_ended),
            ] {
                if wanted {
                    set.insert(id)
                } else {
                    set.remove(&id)
                };
            }
        }
    }

    /// Returns `None` for a run that is no longer in memory.
    fn wants_of(&self, id: RunId, round_at: Timestamp) -> Option<Wants> {
        let run = self.all.get(&id)?;
        let state = &run.state;
        let is_ending =
            |child| self.all.get(&child).is_some_and(|run| run.state.is_canceling() || run.state.end.is_some());
        let deadlines = [next_deadline(state, round_at), next_child_deadline(state, is_ending)];
        Some(Wants {
            deadline: deadlines.into_iter().flatten().min(),
            has_ready: state.ready_heads().next().is_some(),
            has_leases: state.leases().next().is_some(),
            is_busy: state.lifecycle != Lifecycle::Paused && !state.only_waits(),
            is_judged: state.spec().sla.is_some() || state.budget.cap().is_some(),
            is_unaccounted: !run.accounted,
            has_ended: state.end.is_some(),
        })
    }
}

fn some<'r>(all: &'r BTreeMap<RunId, Run>, ids: &'r BTreeSet<RunId>) -> impl Iterator<Item = (RunId, &'r Run)> {
    ids.iter().filter_map(|id| Some((*id, all.get(id)?)))
}
