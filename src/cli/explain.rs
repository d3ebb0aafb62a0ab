//! `stepwell explain RUN [STEP]`: why a step ran, was reused, or waits.

mod ran;
mod waits;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::ExplainArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use crate::core::key::Change;
use crate::core::limits::Limits;
use crate::core::shell;
use crate::core::spec::{StepSpec, WorkflowSpec};
use crate::core::status::StepStatus;
use crate::store::{EngineLock, Reader, RunRow, StepRow};

pub fn explain(session: &Session, args: &ExplainArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    let steps = reader.steps(id)?;
    let run = reader.run(id)?;
    let spec = reader.spec(id)?;
    let chosen: Vec<&StepRow> =
        steps.iter().filter(|step| args.step.as_ref().is_none_or(|name| step.id.as_str() == name)).collect();
    if chosen.is_empty() {
        return Err(CliError::not_found(format!(
            "run {id} has no step `{}`",
            args.step.as_deref().unwrap_or_default()
        ))
        .hint(format!("{} lists its steps", shell::stepwell("show", [&*args.run]))));
    }
    let served = EngineLock::holder(session.state_dir()).is_some();
    let (now, limits) = (Timestamp::now(), session.settings.limits());
    let situation = Situation { reader: &reader, run: &run, spec: &spec, steps: &steps, served, now, limits };
    let mut text = String::new();
    let mut values = Vec::new();
    for step in chosen {
        let mut reasons = reasons(&situation, step)?;
        for reason in &mut reasons {
            reason.message = session.out.pasteable(&reason.message);
        }
        text.push_str(&format!("{} is {}\n", step.id, step.status.as_str()));
        for reason in &reasons {
            text.push_str(&format!("  {}\n", reason.message));
        }
        let messages: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
        let details: Vec<Value> = reasons.iter().map(Reason::json).collect();
        values
            .push(json!({ "step": step.id, "status": step.status.as_str(), "reasons": messages, "details": details }));
    }
    session.out.document(&text, json!({ "run": { "id": id, "status": run.status.as_str() }, "steps": values }))?;
    Ok(Exit::Ok)
}

/// Everything that a reason may be found in.
struct Situation<'a> {
    reader: &'a Reader,
    run: &'a RunRow,
    spec: &'a WorkflowSpec,
    steps: &'a [StepRow],
    /// An engine holds the state directory.
    served: bool,
    now: Timestamp,
    limits: Limits,
}

impl Situation<'_> {
    fn spec_of(&self, step: &StepRow) -> Option<&StepSpec> {
        let id = step.parent.as_ref().unwrap_or(&step.id);
        self.spec.steps.iter().find(|spec| spec.id == *id)
    }
}

struct Reason {
    /// Stable, for scripts.
    code: &'static str,
    message: String,
    change: Option<Change>,
}

impl Reason {
    fn new(code: &'static str, message: impl Into<String>) -> Reason {
        Reason { code, message: message.into(), change: None }
    }

    fn json(&self) -> Value {
        let mut value = json!({ "code": self.code, "message": self.message });
        if let Some(Change { path, old, new }) = &self.change {
            value["change"] = json!({ "path": path, "old": old, "new": new });
        }
        value
    }
}

fn reasons(situation: &Situation<'_>, step: &StepRow) -> Result<Vec<Reason>, CliError> {
    let mut reasons = waits::reasons(situation, step)?;
    match step.status {
        StepStatus::Skipped => {
            reasons.extend(step.skip_reason.as_ref().map(|reason| Reason::new("skipped", reason.as_str())));
        }
        StepStatus::Failed => {
            reasons
                .extend(step.failure.as_ref().map(|failure| Reason::new(failure.kind.as_str(), failure.to_string())));
        }
        StepStatus::Canceled => reasons.push(Reason::new("canceled", "the run was canceled before the step was done")),
        _ => {}
    }
    reasons.extend(ran::reasons(situation, step)?);
    Ok(reasons)
}
