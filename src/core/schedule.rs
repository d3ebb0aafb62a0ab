//! What to do next, and when to look again.

use jiff::Timestamp;

use super::catalog::Placement;
use super::decide::later;
use super::state::{Lifecycle, RunState, Step};

/// The step to claim next for a placement: the one that has been ready for longest.
pub fn next_claim(state: &RunState, placement: Placement, now: Timestamp) -> Option<&Step> {
    if state.end.is_some() || state.lifecycle != Lifecycle::Active {
        return None;
    }
    state.next_ready(placement).filter(|(at, _)| *at <= now).map(|(_, step)| step)
}

/// When something happens by itself at the latest: a lease or a timeout runs out, or a backoff ends.
/// Ready steps whose time has come are waiting for a slot, not for a time.
pub fn next_deadline(state: &RunState, now: Timestamp) -> Option<Timestamp> {
    if state.end.is_some() {
        return None;
    }
    let leases = state.leases().map(|(step, lease)| {
        let limit = state.step_spec(step).timeout.start_to_close.map(|limit| later(lease.started_at, limit));
        [limit, state.schedule_deadline(step)].into_iter().flatten().fold(lease.expires_at, Timestamp::min)
    });
    // A step of a run that is stopped fails when the run goes on.
    let active = state.lifecycle == Lifecycle::Active;
    let late = state.ready_with_deadline().filter(|_| active).map(|(_, deadline)| deadline);
    let ready = [Placement::Child, Placement::InProcess]
        .into_iter()
        .filter_map(|placement| state.next_ready(placement))
        .map(|(at, _)| at)
        .filter(|at| *at > now);
    leases.chain(ready).chain(late).min()
}
