//! Gives signals to the steps that wait for them.

use rusqlite::{Connection, params};

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{StepEventKind, Wait};

use crate::decode::{Json, first};
use crate::error::StoreError;

/// Gives the oldest free signal of the awaited name to the step that waited for it. Call it before the step's row
/// changes.
pub(super) fn take(
    connection: &Connection,
    run: RunId,
    step: &StepId,
    event: &StepEventKind,
) -> Result<(), StoreError> {
    let StepEventKind::Succeeded { .. } = event else { return Ok(()) };
    let sql = "SELECT wait FROM step WHERE run = ?1 AND id = ?2";
    let wait = first(connection, sql, params![run.to_string(), step.as_str()])?;
    if let Some(Json(Wait::Signal { name })) = wait {
        let sql = "UPDATE signal SET taken_by = ?3
                   WHERE seq = (SELECT min(seq) FROM signal WHERE run = ?1 AND name = ?2 AND taken_by IS NULL)";
        connection.prepare_cached(sql)?.execute(params![run.to_string(), name, step.as_str()])?;
    }
    Ok(())
}
