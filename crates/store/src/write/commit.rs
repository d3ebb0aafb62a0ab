//! Writes a batch of the engine.

use rusqlite::{Connection, Transaction, params};

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::protocol::SeriesChange;
use stepwell_run::event::{Event, Recorded, RunEvent};

use super::claim_and_succeed::project_both;
use super::measured::{change_series, insert_metric, insert_usage};
use super::project::{Projected, project};
use super::step_projection::execute;
use super::tally::Tally;
use super::told::notifications;
use super::{answers, prune};
use crate::batch::{Batch, CommitReport, LeaseExtension, MetricWrite, SeriesWrite};
use crate::decode::time_text;
use crate::error::StoreError;
use crate::integrity::head::Head;
use crate::series::{LooseRows, Touched};

/// Writes a batch.
pub(super) fn commit(
    transaction: &Transaction<'_>,
    head: &mut Head,
    loose: &mut LooseRows,
    batch: &Batch<'_>,
) -> Result<CommitReport, StoreError> {
    let mut report = CommitReport::default();
    let mut tally = Tally::default();
    let mut events = batch.events.iter().enumerate();
    while let Some((index, recorded)) = events.next() {
        if let Some(next) = batch.events.get(index + 1)
            && project_both(transaction, head, &mut tally, recorded, next)?
        {
            events.next();
            continue;
        }
        match project_and_prune(transaction, head, &mut tally, recorded)? {
            None => report.stale.push(index),
            Some(dropped) => report.dropped.extend(dropped),
        }
    }
    tally.write(transaction)?;
    if batch.events.iter().any(|recorded| recorded.event == Event::Run(RunEvent::Pruned)) {
        prune::delete_unused_artifacts(transaction)?;
    }
    batch.leases.iter().try_for_each(|lease| extend_lease(transaction, lease))?;
    batch.metrics.iter().try_for_each(|metric| insert_metric(transaction, metric))?;
    batch.series.iter().try_for_each(|change| change_series(transaction, change))?;
    touched(batch).settle(transaction, loose)?;
    batch.usages.iter().try_for_each(|write| insert_usage(transaction, write))?;
    answers::write(transaction, batch)?;
    notifications::write(transaction, batch)?;
    #[cfg(debug_assertions)]
    crate::full_disk::reach()?;
    Ok(report)
}

/// The series that a batch writes to.
fn touched<'b>(batch: &'b Batch<'_>) -> Touched<'b> {
    let mut touched = Touched::default();
    for MetricWrite { run, step, row, .. } in batch.metrics {
        touched.wrote(*run, step, row.train_step);
    }
    for SeriesWrite { run, step, change, .. } in batch.series {
        match change {
            SeriesChange::Void { from } => touched.changed(*run, step, *from),
            SeriesChange::Add(measured) => touched.wrote(*run, step, measured.train_step),
            SeriesChange::Samples(_) => {}
        }
    }
    touched
}

/// Appends an event to the log and projects it onto the tables. Returns the content of the checkpoints that it made
/// superfluous, or `None` if its fence no longer holds.
pub(crate) fn project_and_prune(
    connection: &Connection,
    head: &mut Head,
    tally: &mut Tally,
    recorded: &Recorded,
) -> Result<Option<Vec<ArtifactRef>>, StoreError> {
    if project(connection, head, tally, recorded)? == Projected::Stale {
        return Ok(None);
    }
    prune::drop_replaced(connection, recorded).map(Some)
}

/// Extends a lease and records its progress, unless a newer claim has changed the fence.
fn extend_lease(connection: &Connection, lease: &LeaseExtension) -> Result<(), StoreError> {
    let (run, step, fence) = (lease.run.to_string(), lease.step.as_str(), lease.fence.0.cast_signed());
    let expires = time_text(lease.expires_at);
    let Some(mark) = &lease.progress else {
        let sql =
            "UPDATE step SET lease_expires_at = ?4 WHERE run = ?1 AND id = ?2 AND fence = ?3 AND status = 'running'";
        return execute(connection, sql, params![run, step, fence, expires]);
    };
    let sql = "UPDATE step SET lease_expires_at = ?4, progress_done = ?5, progress_total = ?6, progress_at = ?7,
                   progress_first = ?8, progress_first_at = ?9
               WHERE run = ?1 AND id = ?2 AND fence = ?3 AND status = 'running'";
    let (done, total, first) = (mark.done.cast_signed(), mark.total.cast_signed(), mark.first_done.cast_signed());
    let (at, first_at) = (time_text(mark.at), time_text(mark.first_at));
    let values = params![run, step, fence, expires, done, total, at, first, first_at];
    execute(connection, sql, values)
}
