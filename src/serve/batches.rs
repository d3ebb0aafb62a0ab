//! Submits the run of a batch, with the code of `run`.

use serde_json::{Value, json};

use super::models::{ServedModel, models};
use super::workflows::assignments;
use crate::drive::load_workflow::check;
use crate::drive::run_name::NewName;
use crate::drive::submission::Submission;
use crate::error::{CliError, ErrorKind};
use crate::session::Session;
use stepwell_base::ids::RunId;
use stepwell_http::{BatchRun, Fill, OnBadLine};
use stepwell_run::run_options::RunOptions;
use stepwell_workflow::budget::Sla;
use stepwell_workflow::parse::Source;

/// The workflow of a batch: one step. It is no workflow that a person can name.
const WORKFLOW: &str = include_str!("api_batch.toml");

/// Submits the run unless its key is known; returns the run of the key.
pub(super) fn start(session: &Session, given: &[ServedModel], new: BatchRun) -> Result<RunId, CliError> {
    let model = models(session, given)?.into_iter().find(|model| model.name == new.model);
    let model = model
        .ok_or_else(|| CliError::new(ErrorKind::NotFound, format!("the model `{}` of the batch is gone", new.model)))?;
    let source = Source {
        origin: "api_batch.toml (embedded)".to_owned(),
        text: WORKFLOW.to_owned(),
        folder: Default::default(),
    };
    let params = params(&new, &model);
    let mut loaded = check(session, source, &assignments(&params)?)?;
    loaded.spec.sla = Some(Sla { finish_within: new.finish_within });
    let submission = Submission {
        name: NewName::OfWorkflow,
        tags: Default::default(),
        spec: loaded.spec,
        idempotency_key: Some(new.key),
        options: RunOptions { priority: new.priority, ..RunOptions::default() },
        adoption: None,
        diff: None,
    };
    let (run, _) = submission.commit(session)?;
    stepwell_engine::wake(session.state_dir());
    Ok(run)
}

fn params(new: &BatchRun, model: &ServedModel) -> serde_json::Map<String, Value> {
    let on_bad_line = match new.on_bad_line {
        OnBadLine::Fail => "fail",
        OnBadLine::ErrorLine => "error_line",
    };
    let remaining = match new.fill {
        Fill::Answers => "compute",
        Fill::Cancelled => "cancelled",
        Fill::Expired => "expired",
    };
    let params = json!({
        "input": new.input,
        "model": { "at": model.source.argument() },
        "tokenizer": model.source.tokenizer.iter().collect::<Vec<_>>(),
        "served_model_name": model.name,
        "endpoint": new.endpoint,
        "on_bad_line": on_bad_line,
        "remaining": remaining,
    });
    let Value::Object(params) = params else { return serde_json::Map::new() };
    params
}
