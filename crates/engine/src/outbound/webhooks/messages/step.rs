//! Events of steps.

use serde_json::json;

use super::content::Content;
use super::run::{cut, failure_form, run_form};
use super::subject::Subject;
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_store::{HashedEvent, Reader, StoreError};
use stepwell_workflow::webhook::EventType;

pub(super) struct Steps;

impl Subject for Steps {
    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Step(StepEvent { kind: StepEventKind::Failed { .. }, .. }))
    }

    fn contents(&self, reader: &Reader, event: &HashedEvent) -> Result<Vec<Content>, StoreError> {
        let Event::Step(StepEvent { step, kind: StepEventKind::Failed { failure }, .. }) = &event.row.event else {
            return Ok(Vec::new());
        };
        let run = reader.run(event.row.run)?;
        let data = json!({
            "run": run_form(reader, &run, "running")?,
            "step": step,
            "failure": failure_form(step.as_str(), failure),
        });
        let text = format!("step {step} of run {} has failed: {}", run.name, cut(&failure.headline()));
        Ok(vec![Content::new(EventType::StepFailed, text, data)])
    }
}
