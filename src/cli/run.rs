//! `stepwell run WORKFLOW`: submit durably, print the id, then drive the run in the foreground.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::args::{RunArgs, SubmitArgs};
use super::error::CliError;
use super::exit_code::Exit;
use super::foreground;
use super::session::Session;
use super::workflow_source;
use crate::core::ids::RunId;
use crate::core::key;
use crate::core::run_options::{Reuse, RunOptions};
use crate::core::spec::WorkflowSpec;
use crate::engine;
use crate::store::{EngineLock, NewRun, Store, StoreError, Submitted};

pub fn run(session: &Session, args: &RunArgs) -> Result<Exit, CliError> {
    let spec = workflow_source::load(session, &args.workflow, &args.submit.set)?;
    submit(session, spec, &args.submit)
}

/// Submits a checked workflow; drives it unless `--detach` was given.
pub fn submit(session: &Session, mut spec: WorkflowSpec, args: &SubmitArgs) -> Result<Exit, CliError> {
    skip_steps(&mut spec, &args.skip)?;
    if !args.detach
        && let Some(holder) = EngineLock::holder(session.state_dir())
    {
        let locked = StoreError::Locked { path: session.state_dir().to_owned(), holder };
        return Err(
            CliError::from(locked).hint("wait for it, add `--detach` to queue this run, or use another `--state-dir`")
        );
    }
    let (run, new) = commit(session, &spec, args)?;
    let name = args.name.as_deref().unwrap_or(&spec.name);
    if session.out.is_json() {
        let fields = json!({ "id": run, "name": name, "workflow": spec.name, "new": new });
        session.out.document("", json!({ "type": "submitted", "run": fields }))?;
    } else {
        session.out.line(&format!("run {run} ({name}){}", if new { "" } else { " was submitted before" }))?;
    }
    if args.detach {
        engine::wake(session.state_dir());
        session.out.message("hint: `stepwell worker` runs what is pending; `stepwell watch` follows it");
        return Ok(Exit::Ok);
    }
    foreground::drive(session, run, !args.no_reuse)
}

/// Commits the run. The id is durable once this has returned; true for a run that did not exist.
fn commit(session: &Session, spec: &WorkflowSpec, args: &SubmitArgs) -> Result<(RunId, bool), CliError> {
    let mut store = Store::open(session.state_dir())?;
    let id = RunId(Uuid::now_v7());
    let reuse = if args.no_reuse { Reuse::Never } else { Reuse::Allowed };
    let submitted = store.submit(NewRun {
        id,
        name: args.name.clone().unwrap_or_else(|| spec.name.clone()),
        spec: spec.clone(),
        spec_digest: key::spec_digest(spec),
        idempotency_key: args.idempotency_key.clone(),
        options: RunOptions { priority: args.priority, reuse, ..RunOptions::default() },
        at: Timestamp::now(),
    })?;
    Ok(match submitted {
        Submitted::New => (id, true),
        Submitted::Existing(run) => (run, false),
    })
}

fn skip_steps(spec: &mut WorkflowSpec, skip: &[String]) -> Result<(), CliError> {
    for id in skip {
        match spec.steps.iter_mut().find(|step| step.id.as_str() == id) {
            Some(step) => step.when = Some("false".to_owned()),
            None => {
                let known: Vec<&str> = spec.steps.iter().map(|step| step.id.as_str()).collect();
                return Err(CliError::usage(format!("cannot skip `{id}`: workflow {} has no such step", spec.name))
                    .hint(format!("its steps are {}", known.join(", "))));
            }
        }
    }
    Ok(())
}
