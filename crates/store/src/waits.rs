//! Queries on decisions, signals, pauses and waiting steps.

use rusqlite::{Connection, Row, params};

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Event, PauseCause, Ruling, Verdict, Wait};
use stepwell_run::state::Signal;

use super::decode::{self, collect, first};
use super::error::StoreError;
use super::reader::Reader;
use super::rows::{DecisionRow, SignalRow, WaitRow};

/// Gives the oldest free signal of the awaited name to the step that waited for it. Call it before the step's row
/// changes.
pub(super) fn take_signal(connection: &Connection, run: RunId, step: &StepId, event: &Event) -> Result<(), StoreError> {
    let Event::StepSucceeded { .. } = event else { return Ok(()) };
    let sql = "SELECT wait FROM step WHERE run = ?1 AND id = ?2";
    let wait = first(connection, sql, params![run.to_string(), step.as_str()], |row| decode::json(row, "wait"))?;
    if let Some(Wait::Signal { name }) = wait {
        let sql = "UPDATE signal SET taken_by = ?3
                   WHERE seq = (SELECT min(seq) FROM signal WHERE run = ?1 AND name = ?2 AND taken_by IS NULL)";
        connection.prepare_cached(sql)?.execute(params![run.to_string(), name, step.as_str()])?;
    }
    Ok(())
}

impl Reader {
    /// Decisions of a run, oldest first.
    pub fn decisions(&self, run: RunId) -> Result<Vec<DecisionRow>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT * FROM decision WHERE run = ?1 ORDER BY seq";
            collect(connection, sql, [run.to_string()], |row| {
                let verdict: String = decode::get(row, "verdict")?;
                Ok(DecisionRow {
                    seq: decode::get(row, "seq")?,
                    step: StepId(decode::get(row, "step")?),
                    at: decode::parse(row, "at")?,
                    ruling: Ruling {
                        rule: decode::get(row, "rule")?,
                        inputs: decode::json(row, "inputs")?,
                        // The table allows only these two verdicts.
                        verdict: if verdict == Verdict::Approved.as_str() {
                            Verdict::Approved
                        } else {
                            Verdict::Rejected
                        },
                        approver: decode::get(row, "approver")?,
                        comment: decode::get(row, "comment")?,
                    },
                })
            })
        })
    }

    /// Signals that no step has taken, oldest first.
    pub fn free_signals(&self, run: RunId) -> Result<Vec<Signal>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT name, payload FROM signal WHERE run = ?1 AND taken_by IS NULL ORDER BY seq";
            collect(connection, sql, [run.to_string()], signal)
        })
    }

    /// All signals of a run in order of arrival.
    pub fn signals(&self, run: RunId) -> Result<Vec<SignalRow>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT * FROM signal WHERE run = ?1 ORDER BY seq";
            collect(connection, sql, [run.to_string()], |row| {
                Ok(SignalRow {
                    seq: decode::get(row, "seq")?,
                    signal: signal(row)?,
                    taken_by: decode::get::<Option<String>>(row, "taken_by")?.map(StepId),
                })
            })
        })
    }

    /// Cause of the newest pause of a run; `None` if it was never paused.
    pub fn pause_cause(&self, run: RunId) -> Result<Option<PauseCause>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND kind = 'run_paused' ORDER BY seq DESC LIMIT 1";
        let newest = self.ask(|connection| decode::first(connection, sql, [run.to_string()], decode::event))?;
        Ok(newest.and_then(|row| match row.event {
            Event::RunPaused { reason, cause } => Some(PauseCause::recorded(cause, &reason)),
            _ => None,
        }))
    }

    /// Waiting steps of all runs, sorted by run and position. Omits unreadable ones.
    pub fn waits(&self) -> Result<Vec<WaitRow>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT run, id, wait FROM step WHERE status = 'waiting' ORDER BY run, position, item_index";
            let wait = |row: &Row<'_>| {
                let step = StepId(decode::get(row, "id")?);
                Ok(WaitRow { run: decode::parse(row, "run")?, step, wait: decode::json(row, "wait")? })
            };
            Ok(decode::collect_readable(connection, sql, [], wait, |_, _| ())?.0)
        })
    }
}

fn signal(row: &Row<'_>) -> Result<Signal, StoreError> {
    Ok(Signal { name: decode::get(row, "name")?, payload: decode::json(row, "payload")? })
}
