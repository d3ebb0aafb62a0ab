//! Read-only queries.
use std::path::Path;

use super::error::StoreError;
use super::rows::{CheckpointRow, EventRow, RunRow, StepRow};
use crate::core::artifact::{ArtifactRef, Outputs};
use crate::core::ids::{RunId, StepId, StepKey};
use crate::core::protocol::MetricRow;
use crate::core::spec::WorkflowSpec;

pub struct Reader {}

impl Reader {
    pub fn open(_state_dir: &Path) -> Result<Reader, StoreError> {
        todo!()
    }
    pub fn resolve_run(&self, _text: &str) -> Result<RunId, StoreError> {
        todo!()
    }
    pub fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        todo!()
    }
    pub fn run(&self, _id: RunId) -> Result<RunRow, StoreError> {
        todo!()
    }
    pub fn spec(&self, _id: RunId) -> Result<WorkflowSpec, StoreError> {
        todo!()
    }
    pub fn steps(&self, _id: RunId) -> Result<Vec<StepRow>, StoreError> {
        todo!()
    }
    pub fn step(&self, _run: RunId, _id: &StepId) -> Result<StepRow, StoreError> {
        todo!()
    }
    pub fn checkpoints(&self, _run: RunId, _step: &StepId) -> Result<Vec<CheckpointRow>, StoreError> {
        todo!()
    }
    pub fn metrics(&self, _run: RunId, _step: &StepId, _after_step: u64) -> Result<Vec<MetricRow>, StoreError> {
        todo!()
    }
    pub fn events(&self, _run: Option<RunId>, _after_seq: i64) -> Result<Vec<EventRow>, StoreError> {
        todo!()
    }
    pub fn artifacts(&self, _run: Option<RunId>) -> Result<Vec<(StepId, String, ArtifactRef)>, StoreError> {
        todo!()
    }
    pub fn previous_step(
        &self,
        _workflow: &str,
        _step: &StepId,
        _before: RunId,
    ) -> Result<Option<StepRow>, StoreError> {
        todo!()
    }
    pub fn find_reusable(&self, _key: &StepKey) -> Result<Option<(RunId, Outputs)>, StoreError> {
        todo!()
    }
}
