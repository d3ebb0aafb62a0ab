//! Reacts to the clock: leases, timeouts and grace periods that expire.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::executors::Executor;
use stepwell_base::ids::RunId;
use stepwell_run::command::Command;

use crate::clock::Clock;
use crate::engine::Engine;

/// Maximum sleep of an engine with attempts: a longer gap shows that the engine itself was stopped, see [`ABSENCE`].
const TICK: Duration = Duration::from_secs(1);
/// Time between two signs of life.
const SIGN_INTERVAL: SignedDuration = SignedDuration::from_millis(900);
/// Maximum sleep before a scheduled time. The wall clock can be set, and it advances while the machine sleeps.
const WALL_CLOCK_LOOK: Duration = Duration::from_secs(60);
/// Minimum sleep while a passed deadline waits for a process to end.
const RETRY: Duration = Duration::from_millis(20);
/// Longest gap between two looks at the clock in normal operation. After a longer gap the engine itself was stopped (a
/// laptop's lid, Ctrl-Z), so it cannot blame its workers for their silence.
const ABSENCE: SignedDuration = SignedDuration::from_secs(6);

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Longest wait for a message; `None` when nothing can happen without one.
    pub(crate) fn time_to_wait(&mut self) -> Option<Duration> {
        if self.pace.has_more() || !self.family.is_settled() {
            return Some(Duration::ZERO);
        }
        let now = self.clock.now();
        let until =
            |at: Timestamp, now: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
        let deadline = self.runs.next_deadline(self.round_at).map(|at| until(at, now).max(RETRY));
        let others = [self.rate_windows.deadline(), self.next_judgement(self.round_at)]
            .into_iter()
            .flatten()
            .map(|at| until(at, now));
        let due = self
            .schedules
            .next_due()
            .filter(|_| self.stopping.is_none())
            .map(|at| until(at, self.clock.wall()).min(WALL_CLOCK_LOOK));
        let instant = self.clock.instant();
        let instants = [self.attempts.next_kill(), self.pending.deadline(instant), self.executor.deadline()];
        let instants = instants.into_iter().flatten();
        let instants = instants.map(|at| at.saturating_duration_since(instant));
        let tick = (!self.attempts.is_empty()).then_some(TICK);
        deadline.into_iter().chain(others).chain(due).chain(instants).chain(tick).min()
    }

    pub(crate) fn check_clock(&mut self) {
        self.executor.retire();
        let now = self.clock.now();
        let absent = now.duration_since(self.looked_at) > ABSENCE;
        self.looked_at = now;
        if !self.attempts.is_empty() && now.duration_since(self.signed_at) >= SIGN_INTERVAL {
            self.lock.touch();
            self.signed_at = now;
        }
        if absent {
            let leased: Vec<RunId> = self.runs.leased(self.round_at).map(|(id, _)| id).collect();
            leased.into_iter().for_each(|run| self.renew_leases(run));
        }
        for run in self.runs.due(self.round_at, now) {
            self.handle(run, Command::Expire);
        }
        for id in self.attempts.take_due(self.clock.instant()) {
            match self.attempts.get_mut(&id) {
                Some(running) if running.ended => self.reap(&id),
                Some(running) => running.handle.kill(),
                None => {}
            }
        }
    }

    fn renew_leases(&mut self, run: RunId) {
        let Some(active) = self.runs.get(&run) else { return };
        let leases = active.state.leases().map(|(step, lease)| (step.id.clone(), lease.fence));
        for (step, fence) in leases.collect::<Vec<_>>() {
            self.handle(run, Command::Heartbeat { step, fence });
        }
    }
}
