//! Finds the steps to claim next, and the time to look again.

use jiff::Timestamp;

use super::event::Wait;
use super::state::{ClassIndex, Lifecycle, RunState, StepIndex, StepState};
use stepwell_base::duration::later;
use stepwell_base::ids::RunId;

/// Returns the steps that can be claimed next: in each class, the one that has been ready for longest.
pub fn next_claims(state: &RunState, now: Timestamp) -> impl Iterator<Item = (ClassIndex, Timestamp, StepIndex)> {
    let heads = may_claim(state).then(|| state.ready_heads()).into_iter().flatten();
    heads.filter(move |(_, at, _)| *at <= now)
}

/// Like [`next_claims`], for one class.
pub fn next_claim(state: &RunState, class: ClassIndex, now: Timestamp) -> Option<(Timestamp, StepIndex)> {
    state.ready_head(class).filter(|(at, _)| *at <= now && may_claim(state))
}

fn may_claim(state: &RunState) -> bool {
    state.end.is_none() && state.lifecycle == Lifecycle::Active
}

/// Returns the earliest deadline of a step that waits for a child run. Ignores child runs that are already ending
/// (`is_ending`): their steps only wait for the end.
pub fn next_child_deadline(state: &RunState, is_ending: impl Fn(RunId) -> bool) -> Option<Timestamp> {
    let mut deadlines = state.deadlines.of_child_runs().filter(|_| may_claim(state));
    let awaits_active_run = |i: StepIndex| match &state.steps[i].state {
        StepState::Waiting(Wait::Run { run }) => !is_ending(*run),
        _ => false,
    };
    deadlines.find(|&(_, i)| awaits_active_run(i)).map(|(at, _)| at)
}

/// Returns the earliest time at which anything else happens by itself: a lease or a timeout expires, or a
/// backoff ends. Ready steps whose time has come do not count: they wait for a slot.
pub fn next_deadline(state: &RunState, now: Timestamp) -> Option<Timestamp> {
    if state.end.is_some() {
        return None;
    }
    let leases = state.leases().map(|(step, lease)| {
        let limit = state.step_spec(step).timeout.start_to_close.map(|limit| later(lease.started_at, limit));
        [limit, state.schedule_deadline(step)].into_iter().flatten().fold(lease.expires_at, Timestamp::min)
    });
    // A step of a stopped run fails only after the run resumes.
    let late = state.deadlines.first().filter(|_| state.lifecycle == Lifecycle::Active);
    let ready = state.ready_heads().map(|(_, at, _)| at).filter(|at| *at > now);
    leases.chain(ready).chain(late).min()
}
