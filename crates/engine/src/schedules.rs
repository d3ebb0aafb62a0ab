//! Starts runs by the clock. The key of each run names its schedule and its time: whoever tries it again,
//! after whatever crash, gets the run that is there already.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::executors::Executor;
use stepwell_base::ids::RunId;
use stepwell_base::names::RunName;
use stepwell_run::run_options::{Origin, RunOptions};
use stepwell_store::{NewRun, ScheduleRow, Store, StoreError, Submitted, Unreadable};
use stepwell_workflow::key;
use stepwell_workflow::timetable::{Due, Timetable};

use super::clock::Clock;
use super::drive::Engine;
use super::error::EngineError;
use super::options::Scope;

/// What is scheduled, in the engine's memory.
#[derive(Default)]
pub(super) struct Schedules {
    entries: Vec<Entry>,
    /// Schedules that were reported to the observer already.
    unreadable: BTreeSet<String>,
}

struct Entry {
    row: ScheduleRow,
    timetable: Timetable,
    next: Option<Timestamp>,
}

/// The timetable of an expression in a time zone, such as `Europe/Berlin`.
///
/// # Errors
/// What is wrong with either.
pub fn timetable(cron: &str, time_zone: &str) -> Result<Timetable, EngineError> {
    let zone = TimeZone::get(time_zone).map_err(|_| EngineError::UnknownTimeZone { name: time_zone.to_owned() })?;
    Timetable::new(cron, zone).map_err(|why| EngineError::InvalidCron { cron: cron.to_owned(), why })
}

/// Submits the run of a schedule for one of its times, unless that was done before.
///
/// # Errors
/// When the state cannot be read or written.
pub fn submit_scheduled(
    store: &mut Store,
    schedule: &ScheduleRow,
    due: Timestamp,
) -> Result<(RunId, Submitted), EngineError> {
    submit_due(store, schedule, due, (RunId(Uuid::now_v7()), Timestamp::now()))
}

fn submit_due(
    store: &mut Store,
    schedule: &ScheduleRow,
    due: Timestamp,
    (id, at): (RunId, Timestamp),
) -> Result<(RunId, Submitted), EngineError> {
    let new = |name: RunName| NewRun {
        id,
        name,
        spec: schedule.spec.clone(),
        spec_digest: key::spec_digest(&schedule.spec),
        idempotency_key: Some(format!("schedule:{}:{due}", schedule.name)),
        options: RunOptions {
            priority: schedule.options.priority,
            origin: Some(Origin::Schedule { name: schedule.name.clone(), due }),
            ..RunOptions::default()
        },
        at,
    };
    let run = new(RunName::scheduled(&schedule.name, due));
    let name = run.name.clone();
    match store.submit(run) {
        // Somebody has given that very name to a run of their own.
        Err(StoreError::NameActive { .. }) => Ok((id, store.submit(new(name.made_unique(id)))?)),
        other => Ok((id, other?)),
    }
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// When the next run has to be submitted.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let next = self.schedules.entries.iter().filter_map(|entry| entry.next).min();
        next.filter(|_| self.stopping.is_none())
    }

    /// Looks at the schedules anew: somebody may have changed them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn load_schedules(&mut self) -> Result<(), EngineError> {
        if !matches!(self.options.scope, Scope::All { .. }) {
            return Ok(());
        }
        self.schedules.entries.clear();
        let (rows, unreadable) = self.store.reader().schedules()?;
        for Unreadable { name, why, .. } in unreadable {
            if self.schedules.unreadable.insert(name.clone()) {
                self.observer.warn(&format!("schedule `{name}` is not served: it cannot be read: {why}"));
            }
        }
        for row in rows.into_iter().filter(|row| row.paused_at.is_none()) {
            match timetable(&row.cron, &row.time_zone) {
                Ok(timetable) => {
                    let next = timetable.next_after(row.done_until);
                    self.schedules.entries.push(Entry { row, timetable, next });
                }
                Err(error) => self.observer.warn(&format!("schedule `{}` is not served: {error}", row.name)),
            }
        }
        Ok(())
    }

    /// Submits the runs that are due. What is done is written down after them: a crash in between leads to the
    /// same keys again.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(super) fn fire_schedules(&mut self) -> Result<(), EngineError> {
        if self.stopping.is_some() {
            return Ok(());
        }
        let now = self.clock.wall();
        for i in 0..self.schedules.entries.len() {
            if self.schedules.entries[i].next.is_none_or(|next| next > now) {
                continue;
            }
            let Entry { row, timetable, .. } = &self.schedules.entries[i];
            let Due { times, until } = timetable.due(row.done_until, now, row.options.catch_up);
            let mut submitted = Vec::new();
            for due in times {
                if let (run, Submitted::New) = submit_due(&mut self.store, row, due, (RunId(self.clock.new_id()), now))?
                {
                    submitted.push(run);
                }
            }
            self.store.settle_schedule(&row.name, until)?;
            let entry = &mut self.schedules.entries[i];
            entry.row.done_until = until;
            entry.next = entry.timetable.next_after(until);
            for run in submitted {
                // An unreadable schedule was reported already.
                let _ = self.load_readable(run)?;
            }
        }
        Ok(())
    }
}
