//! `stepwell start-training [TEXT or WORKFLOW]`: `run` with training's defaults and its phases as flags.

use serde_json::Value;

use super::args::StartArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::run;
use super::session::Session;
use super::workflow_source;
use stepwell_workflow::spec::WorkflowSpec;

/// The workflow that trains on a person's own text, given as its parameter `corpus`.
const OWN_TEXT: &str = "pretrain";

pub fn start(session: &Session, args: &StartArgs) -> Result<Exit, CliError> {
    let mut set = args.submit.set.clone();
    let workflow = match workflow_source::corpus(&args.workflow) {
        Some(corpus) => {
            // Quotes keep every path unchanged.
            set.push(("corpus".to_owned(), Value::from(corpus).to_string()));
            OWN_TEXT
        }
        None => &args.workflow,
    };
    let mut spec = workflow_source::load(session, workflow, &set)?;
    if !args.phase.is_empty() {
        select_phases(&mut spec, &args.phase)?;
    }
    run::submit(session, spec, &args.submit)
}

/// Keeps the phases with the given names, in the workflow's order.
fn select_phases(spec: &mut WorkflowSpec, names: &[String]) -> Result<(), CliError> {
    let Some(Value::Array(phases)) = spec.params.get_mut("phases") else {
        return Err(CliError::usage(format!("workflow {} has no list of `phases` to choose from", spec.name)));
    };
    let known: Vec<String> = phases.iter().filter_map(|phase| Some(phase.get("name")?.as_str()?.to_owned())).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(CliError::usage(format!("workflow {} has no phase `{unknown}`", spec.name))
            .hint(format!("its phases are {}", known.join(", "))));
    }
    phases
        .retain(|phase| phase.get("name").and_then(Value::as_str).is_some_and(|name| names.iter().any(|n| n == name)));
    Ok(())
}
