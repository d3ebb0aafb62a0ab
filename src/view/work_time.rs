//! Computes how long runs and steps have worked; ended and dead ones stop counting.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::fan_out::MOST_CHILDREN;
use super::output::duration;
use crate::error::CliError;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{EngineLock, Reader, RunRow, StepRow, last_sign_of_life};

/// The time up to which unfinished work counts: now, or the last sign of life when no engine runs.
pub struct WorkClock<'a> {
    reader: &'a Reader,
    run: Option<RunId>,
    /// Lengths of the leases of running steps, read when the first one is asked for.
    heartbeats: OnceCell<HashMap<StepId, Duration>>,
    now: Timestamp,
    is_served: bool,
}

impl<'a> WorkClock<'a> {
    /// Queries about steps need their run.
    pub fn new(reader: &'a Reader, run: Option<RunId>) -> WorkClock<'a> {
        let is_served = EngineLock::holder(reader.state_dir()).is_some();
        WorkClock { reader, run, heartbeats: OnceCell::new(), now: Timestamp::now(), is_served }
    }

    /// The same time, for the steps of a run.
    fn of(&self, run: RunId) -> WorkClock<'a> {
        WorkClock { run: Some(run), heartbeats: OnceCell::new(), ..*self }
    }

    /// The last time the running attempt of a step was known to work.
    pub fn seen(&self, step: &StepRow) -> Timestamp {
        if self.is_served {
            return self.now;
        }
        let signs = [step.attempt_started_at, self.sign(step), step.progress.map(|progress| progress.at)];
        signs.into_iter().flatten().max().unwrap_or(self.now).min(self.now)
    }

    fn sign(&self, step: &StepRow) -> Option<Timestamp> {
        let (run, reader) = (self.run?, self.reader);
        let heartbeats = self.heartbeats.get_or_init(|| reader.heartbeats(run).unwrap_or_default());
        let heartbeat = *heartbeats.get(&step.id)?;
        Some(last_sign_of_life(reader.state_dir(), run, &step.id, step.lease_expires_at?, heartbeat))
    }

    /// The work of the running attempt so far.
    pub fn running(&self, step: &StepRow) -> SignedDuration {
        let started = step.attempt_started_at.filter(|_| step.status == StepStatus::Running);
        started.map_or(SignedDuration::ZERO, |start| self.seen(step).duration_since(start).max(SignedDuration::ZERO))
    }

    /// Total work of all attempts of a step; for a fan-out, of its items. A step without attempts counts its wait.
    pub fn of_step(&self, step: &StepRow, all: &[StepRow]) -> Option<SignedDuration> {
        let start = step.started_at?;
        if step.attempts == 0 && step.children.is_none() {
            return Some(step.finished_at.unwrap_or(self.now).duration_since(start));
        }
        // Only a fan-out has items; searching for those of every step would be quadratic.
        let all = if step.children.is_some() { all } else { &[] };
        let items = all.iter().filter(|other| other.parent.as_ref() == Some(&step.id));
        let running =
            items.chain([step]).map(|step| self.running(step)).fold(SignedDuration::ZERO, |sum, one| sum + one);
        Some(SignedDuration::from_millis(step.compute_ms) + running)
    }

    /// Duration from the start of a run to its end, or to the last sign of life.
    pub fn of_run(&self, run: &RunRow, steps: &[StepRow]) -> Option<SignedDuration> {
        let end = match (run.finished_at, run.status) {
            (Some(end), _) => end,
            (None, RunStatus::Running | RunStatus::Canceling) => self.now,
            (None, _) => {
                let running = steps.iter().filter(|step| step.status == StepStatus::Running);
                running.map(|step| self.seen(step)).chain([run.updated_at]).max().unwrap_or(self.now)
            }
        };
        run.started_at.map(|start| end.duration_since(start))
    }
}

/// The work of all steps of a run and of its child runs: waits, pauses and the time between attempts do not count.
/// Steps are read only for a run that has not ended.
pub fn of_listed(reader: &Reader, run: &RunRow, clock: &WorkClock<'_>) -> Result<Option<SignedDuration>, CliError> {
    if run.started_at.is_none() {
        return Ok(None);
    }
    let mut work = reader.compute(run.id)? + reader.compute_of_descendants(run.id)?;
    if !run.stored_status.is_terminal() {
        let clock = clock.of(run.id);
        let open = reader.open_work(run.id, MOST_CHILDREN)?;
        work += open.iter().map(|step| clock.running(step)).fold(SignedDuration::ZERO, |sum, one| sum + one);
    }
    Ok(Some(work))
}

/// Formats a duration such as `3m 12s`; empty for `None`.
pub fn text(worked: Option<SignedDuration>) -> String {
    worked.map(|worked| duration(worked.as_secs_f64().max(0.0))).unwrap_or_default()
}
