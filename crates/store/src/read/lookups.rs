//! Single facts about steps, each through an index.

use rusqlite::params;

use stepwell_base::artifact::Outputs;
use stepwell_base::ids::{RunId, StepId, StepKey};
use stepwell_run::status::StepStatus;

use super::reader::Reader;
use super::steps::load_step;
use crate::decode::{exists, first};
use crate::error::StoreError;
use crate::rows::StepRow;

impl Reader {
    /// The status of a step; `None` for an unknown one.
    pub fn step_status(&self, run: RunId, id: &StepId) -> Result<Option<StepStatus>, StoreError> {
        let sql = "SELECT status FROM step WHERE run = ?1 AND id = ?2";
        self.query(|connection| first(connection, sql, params![run.to_string(), id.as_str()]))
    }

    /// The first attempt of a step with its current key; `None` before any attempt.
    pub fn first_attempt_with_key(&self, run: RunId, id: &StepId) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT key_since FROM step WHERE run = ?1 AND id = ?2";
        self.query(|connection| {
            let found: Option<Option<u32>> = first(connection, sql, params![run.to_string(), id.as_str()])?;
            Ok(found.flatten())
        })
    }

    /// The first step of a run with this key.
    pub fn step_with_key(&self, run: RunId, key: &StepKey) -> Result<Option<StepId>, StoreError> {
        let sql = "SELECT id FROM step WHERE run = ?1 AND key = ?2 ORDER BY position, item_index LIMIT 1";
        self.query(|connection| first(connection, sql, params![run.to_string(), key.0]))
    }

    /// The newest run that was not pruned and has an output `name` of a step of one of these kinds.
    pub fn newest_run_with_output(&self, name: &str, kinds: &[&str]) -> Result<Option<RunId>, StoreError> {
        let sql = "SELECT run.id FROM run WHERE pruned_at IS NULL AND EXISTS (
                       SELECT 1 FROM step JOIN step_output ON step_output.run = step.run AND step_output.step = step.id
                       WHERE step.run = run.id AND step_output.name = ?1
                       AND step.kind IN (SELECT value FROM json_each(?2)))
                   ORDER BY run.id DESC LIMIT 1";
        let kinds = serde_json::Value::from(kinds).to_string();
        self.query(|connection| first(connection, sql, params![name, kinds]))
    }

    /// Any step that the tables show as running.
    pub fn leased_step(&self) -> Result<Option<(RunId, StepId)>, StoreError> {
        self.query(|connection| first(connection, "SELECT run, id FROM step WHERE status = 'running' LIMIT 1", []))
    }

    /// True if the tables show a running attempt of the run.
    pub fn has_lease(&self, run: RunId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM step WHERE run = ?1 AND status = 'running' LIMIT 1";
        self.query(|connection| exists(connection, sql, [run.to_string()]))
    }

    /// The newest earlier run of a workflow whose same step resolved its arguments, and that step.
    pub fn previous_step(
        &self,
        workflow: &str,
        step: &StepId,
        before: RunId,
    ) -> Result<Option<(RunId, StepRow)>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT run.id FROM run JOIN step ON step.run = run.id
                       WHERE run.workflow = ?1 AND run.id < ?2 AND step.id = ?3 AND step.key IS NOT NULL
                       ORDER BY run.id DESC LIMIT 1";
            let values = params![workflow, before.to_string(), step.as_str()];
            let Some(run) = first::<RunId>(connection, sql, values)? else { return Ok(None) };
            Ok(load_step(connection, run, step)?.map(|row| (run, row)))
        })
    }

    /// The newest earlier run of a workflow that started an item of this fan-out.
    pub fn previous_fan_out(
        &self,
        workflow: &str,
        fan_out: &StepId,
        before: RunId,
    ) -> Result<Option<RunId>, StoreError> {
        let sql = "SELECT run.id FROM run
                   WHERE run.workflow = ?1 AND run.id < ?2 AND EXISTS (
                       SELECT 1 FROM step WHERE step.run = run.id AND step.parent = ?3 AND step.key IS NOT NULL)
                   ORDER BY run.id DESC LIMIT 1";
        let values = params![workflow, before.to_string(), fan_out.as_str()];
        self.query(|connection| first(connection, sql, values))
    }

    /// The newest succeeded step with an equal key, and its outputs.
    pub fn find_reusable(&self, key: &StepKey) -> Result<Option<(RunId, Outputs)>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT run, id FROM step WHERE key = ?1 AND key IS NOT NULL AND status = 'succeeded' AND kind <> 'noop'
                       ORDER BY run DESC LIMIT 1";
            let Some((run, id)) = first::<(RunId, StepId)>(connection, sql, [&key.0])? else { return Ok(None) };
            Ok(load_step(connection, run, &id)?.and_then(|step| step.outputs).map(|outputs| (run, outputs)))
        })
    }
}
