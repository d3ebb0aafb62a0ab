//! Rebuilds the state in memory from the tables after a restart.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use stepwell_base::failure::Failure;
use stepwell_run::state::Restored;
use stepwell_run::state::{Lease, Lifecycle, RunEnd, RunState, StepState};
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{RunRow, StepRow};
use stepwell_workflow::catalog::Placement;
use stepwell_workflow::spec::WorkflowSpec;

/// Builds the state that the tables of a run represent. `placement` maps kinds.
pub fn state_from_rows(
    spec: Arc<WorkflowSpec>,
    run: &RunRow,
    rows: &[StepRow],
    placement: impl Fn(&str) -> Placement,
) -> RunState {
    let mut state = RunState::new(run.id, spec, placement);
    state.started = run.started_at.is_some();
    let mut children: HashMap<&str, Vec<&StepRow>> = HashMap::new();
    for row in rows {
        if let Some(parent) = &row.parent {
            children.entry(parent.as_str()).or_default().push(row);
        }
    }
    for parent in rows.iter().filter(|row| row.parent.is_none()) {
        let mut items = children.remove(parent.id.as_str()).unwrap_or_default();
        items.sort_by_key(|row| row.item_index);
        let values = items.iter().map(|row| (row.item_index.unwrap_or_default(), row.item.clone().unwrap_or_default()));
        let total = parent.children.map_or(0, |children| usize::try_from(children.total).unwrap_or(usize::MAX));
        state.restore_children(&parent.id, values.collect(), total);
        for row in items {
            state.restore(&row.id, restored(row));
        }
        state.restore(&parent.id, restored(parent));
    }
    state.settle_restored();
    (state.lifecycle, state.end) = match run.stored_status {
        RunStatus::Pending | RunStatus::Running => (Lifecycle::Active, None),
        RunStatus::Interrupted => (Lifecycle::Interrupted, None),
        RunStatus::Paused => (Lifecycle::Paused, None),
        RunStatus::Canceling => (Lifecycle::Canceling, None),
        RunStatus::Succeeded => (Lifecycle::Active, Some(RunEnd::Succeeded)),
        RunStatus::Canceled => (Lifecycle::Canceling, Some(RunEnd::Canceled)),
        RunStatus::Failed => {
            let failed = rows.iter().find(|row| row.status == StepStatus::Failed);
            let step = failed.map_or_else(|| "?".into(), |row| row.id.clone());
            let failure = run.failure.clone().unwrap_or_else(unexplained);
            (Lifecycle::Active, Some(RunEnd::Failed { step, failure }))
        }
    };
    state
}

fn restored(row: &StepRow) -> Restored {
    let not_before = row.not_before.unwrap_or(Timestamp::UNIX_EPOCH);
    let state = match row.status {
        StepStatus::Pending => None,
        StepStatus::Ready => Some(StepState::Ready { not_before }),
        StepStatus::Running => Some(StepState::Leased(Lease {
            fence: row.fence,
            attempt: row.attempts,
            started_at: row.attempt_started_at.or(row.started_at).unwrap_or(Timestamp::UNIX_EPOCH),
            expires_at: row.lease_expires_at.unwrap_or(Timestamp::UNIX_EPOCH),
            process: row.process.clone(),
            progressed: false,
            resources: row.resources.clone(),
        })),
        StepStatus::Waiting => row.wait.clone().map(StepState::Waiting),
        StepStatus::Expanded => Some(StepState::Expanded { remaining: 0 }),
        StepStatus::Succeeded => Some(StepState::Succeeded { outputs: row.outputs.clone().unwrap_or_default() }),
        StepStatus::Failed => Some(StepState::Failed(row.failure.clone().unwrap_or_else(unexplained))),
        StepStatus::Skipped => Some(StepState::Skipped),
        StepStatus::Canceled => Some(StepState::Canceled),
    };
    Restored {
        state,
        fence: row.fence,
        attempts: row.attempts,
        failures: row.retries_used,
        key: row.key.clone(),
        ready_since: row.ready_since,
    }
}

fn unexplained() -> Failure {
    Failure::fatal("the log has the reason")
}
