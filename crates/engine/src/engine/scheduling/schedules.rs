//! Starts runs by the clock. The idempotency key of each run names its schedule and its due time, so a retry after any
//! crash finds the existing run.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use stepwell_base::ids::RunId;
use stepwell_base::names::RunName;
use stepwell_run::run_options::{Origin, RunOptions};
use stepwell_store::{NewRun, Reader, ScheduleRow, Store, StoreError, Submitted, Unreadable};
use stepwell_workflow::key;
use stepwell_workflow::timetable::{Due, Timetable};

use crate::error::EngineError;
use crate::options::Observer;

/// Schedules in the engine's memory.
#[derive(Default)]
pub(crate) struct Schedules {
    entries: Vec<Entry>,
    /// Schedules that were reported to the observer already.
    unreadable: BTreeSet<String>,
}

struct Entry {
    row: ScheduleRow,
    timetable: Timetable,
    next: Option<Timestamp>,
}

/// Parses a cron expression in a time zone, such as `Europe/Berlin`.
///
/// # Errors
/// `UnknownTimeZone` or `InvalidCron`.
pub fn timetable(cron: &str, time_zone: &str) -> Result<Timetable, EngineError> {
    let zone = TimeZone::get(time_zone).map_err(|_| EngineError::UnknownTimeZone { name: time_zone.to_owned() })?;
    Timetable::new(cron, zone).map_err(|why| EngineError::InvalidCron { cron: cron.to_owned(), why })
}

/// Submits the run of a schedule for one of its due times, unless that run exists.
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
            project: schedule.options.project.clone(),
            origin: Some(Origin::Schedule { name: schedule.name.clone(), due }),
            ..RunOptions::default()
        },
        at,
    };
    let run = new(RunName::scheduled(&schedule.name, due));
    let name = run.name.clone();
    match store.submit(run) {
        // A person has given this name to another run.
        Err(StoreError::NameActive { .. }) => Ok((id, store.submit(new(name.made_unique(id)))?)),
        other => Ok((id, other?)),
    }
}

impl Schedules {
    /// Due time of the next run.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.entries.iter().filter_map(|entry| entry.next).min()
    }

    /// Reads the schedules again, because another process may have changed them.
    pub(crate) fn load(&mut self, reader: &Reader, observer: &mut dyn Observer) -> Result<(), EngineError> {
        self.entries.clear();
        let (rows, unreadable) = reader.schedules()?;
        for Unreadable { name, why, .. } in unreadable {
            if self.unreadable.insert(name.clone()) {
                observer.warn(&format!("schedule `{name}` is not served: it cannot be read: {why}"));
            }
        }
        for row in rows.into_iter().filter(|row| row.paused_at.is_none()) {
            match timetable(&row.cron, &row.time_zone) {
                Ok(timetable) => {
                    let next = timetable.next_after(row.done_until);
                    self.entries.push(Entry { row, timetable, next });
                }
                Err(error) => observer.warn(&format!("schedule `{}` is not served: {error}", row.name)),
            }
        }
        Ok(())
    }

    /// Submits the due runs and returns the new ones. Each schedule's progress is written after its runs: a crash in
    /// between leads to the same keys again.
    pub(crate) fn fire(
        &mut self,
        store: &mut Store,
        now: Timestamp,
        new_id: impl Fn() -> RunId,
    ) -> Result<Vec<RunId>, EngineError> {
        let mut submitted = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.next.is_some_and(|next| next <= now)) {
            let Entry { row, timetable, next } = entry;
            let Due { times, until } = timetable.due(row.done_until, now, row.options.catch_up);
            for due in times {
                if let (run, Submitted::New) = submit_due(store, row, due, (new_id(), now))? {
                    submitted.push(run);
                }
            }
            store.settle_schedule(&row.name, until)?;
            row.done_until = until;
            *next = timetable.next_after(until);
        }
        Ok(submitted)
    }
}
