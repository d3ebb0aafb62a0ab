//! Projects a claim and the success that follows it in the same transaction, the case of every step on the engine's own
//! thread. Each row is written once instead of twice, with the content that the two events would leave one after the
//! other; `db check` verifies this.

use rusqlite::{Connection, params};

use stepwell_base::ids::Fence;
use stepwell_run::event::{Event, Recorded, StepEvent, StepEventKind};
use stepwell_run::status::{StepStatus, Transition, fence_holds};

use super::step_projection::{NO_LEASE, compute_ms};
use super::tally::{ChildChange, Tally};
use crate::decode::{Json, first, time_text};
use crate::error::StoreError;
use crate::integrity::head::Head;

/// Projects both events. Returns false and changes nothing if they are not such a pair or if either is invalid.
pub(super) fn project_both(
    connection: &Connection,
    head: &mut Head,
    tally: &mut Tally,
    claim: &Recorded,
    end: &Recorded,
) -> Result<bool, StoreError> {
    let (Event::Step(started), Event::Step(ended)) = (&claim.event, &end.event) else { return Ok(false) };
    let (StepEvent { step, fence: Some(fence), kind }, StepEventKind::Succeeded { outputs }) = (started, &ended.kind)
    else {
        return Ok(false);
    };
    let StepEventKind::AttemptStarted { attempt, key, with, lease_expires_at, resources } = kind else {
        return Ok(false);
    };
    let one_step = claim.run == end.run && *step == ended.step && started.fence == ended.fence;
    if !one_step || !resources.is_empty() || !outputs.artifacts.is_empty() {
        return Ok(false);
    }
    let run = claim.run.to_string();
    let sql = "SELECT status, fence, attempts, parent, compute_ms FROM step WHERE run = ?1 AND id = ?2";
    let found: Option<(StepStatus, Fence, u32, Option<String>, i64)> =
        first(connection, sql, params![run, step.as_str()])?;
    let Some((before, current, attempts, parent, total)) = found else { return Ok(false) };
    let may_start = fence_holds(started, before, current)
        && before.after(kind) == Transition::To(StepStatus::Running)
        && *attempt == attempts + 1;
    if !may_start {
        return Ok(false);
    }
    head.append(connection, claim)?;
    head.append(connection, end)?;
    let (started_at, finished_at) = (time_text(claim.at), time_text(end.at));
    let worked = compute_ms(Some(claim.at), Some(*lease_expires_at), end.at).unwrap_or(0);
    let fence = fence.0.cast_signed();
    let sql =
        "INSERT INTO attempt (run, step, attempt, fence, status, started_at, finished_at, compute_ms, environment)
               VALUES (?1, ?2, ?3, ?4, 'succeeded', ?5, ?6, ?7, (SELECT value FROM meta WHERE key = 'environment'))";
    let values = params![run, step.as_str(), attempt, fence, started_at, finished_at, worked];
    connection.prepare_cached(sql)?.execute(values)?;
    let sql = format!(
        "UPDATE step SET status = 'succeeded', attempts = ?4, fence = ?5, key = ?6, arguments = ?7, output_values = ?8,
             key_since = CASE WHEN key IS ?6 THEN key_since ELSE ?4 END,
             started_at = coalesce(started_at, ?9), finished_at = ?10, failure = NULL, {NO_LEASE}
         WHERE run = ?1 AND id = ?2"
    );
    let (with, outputs) = (Json(with), Json(&outputs.values));
    let values = params![run, step.as_str(), worked, attempt, fence, key.0, with, outputs, started_at, finished_at];
    connection.prepare_cached(&sql)?.execute(values)?;
    tally.moved(&run, before, StepStatus::Succeeded);
    if let Some(parent) = parent {
        let (after, total) = (StepStatus::Succeeded, total + worked);
        tally.add(&run, parent, &ChildChange { before, after, worked, attempts: *attempt, total });
    }
    Ok(true)
}
