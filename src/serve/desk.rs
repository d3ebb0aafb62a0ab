//! The desk: the server asks, the code of the verbs answers.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::failed::desk_error;
use super::inference::{Inference, InferenceOptions};
use super::models::ServedModel;
use super::{batches, machine, models, submit, workflows};
use crate::drive::queue::ask::ask;
use crate::drive::workflow_source::names;
use crate::error::{CliError, ErrorKind};
use crate::session::Session;
use crate::verbs::look::explain::explanation;
use crate::verbs::start::webhook;
use crate::view::effort::effort;
use crate::view::pulse::machine_readings;
use crate::view::series;
use stepwell_base::artifact::Digest;
use stepwell_base::ids::{RunId, StepId};
use stepwell_batch::body::Body;
use stepwell_engine::Canceled;
use stepwell_http::{
    Ask, BatchRun, CompletionSink, Derived, Desk, DeskError, EngineView, InferenceLoad, ModelCard, NewSchedule,
    SeriesPart, Submit, Submitted,
};
use stepwell_run::health::MachineReadings;
use stepwell_run::request::Request;
use stepwell_run::status::RunStatus;
use stepwell_store::EngineLock;
use stepwell_workflow::budget::Budget;

/// Answers with the settings of this process.
pub struct ProgramDesk {
    session: Session,
    /// Models of the command line.
    models: Arc<Vec<ServedModel>>,
    inference: Inference,
}

impl ProgramDesk {
    pub fn new(session: &Session, models: Vec<ServedModel>, options: InferenceOptions) -> ProgramDesk {
        let (session, models) = (session.silent(), Arc::new(models));
        let (own, given) = (session.clone(), Arc::clone(&models));
        let find = move |name: &str| {
            let known = models::models(&own, &given)?;
            Ok(known.into_iter().find(|model| model.name == name).map(|model| model.source))
        };
        let inference = Inference::new(&session, options, Box::new(find));
        ProgramDesk { session, models, inference }
    }
}

impl Desk for ProgramDesk {
    fn engine(&self) -> EngineView {
        match EngineLock::holder(self.session.state_dir()) {
            Some(holder) if holder.pid == std::process::id() => EngineView::Here,
            Some(holder) => EngineView::Elsewhere { who: holder.short(), run: holder.run },
            None => EngineView::Nobody("no engine runs: `stepwell worker` is one".to_owned()),
        }
    }

    fn submit(&self, new: Submit) -> Result<Submitted, DeskError> {
        submit::submit(&self.session, new).map_err(desk_error)
    }

    fn derive(&self, new: Derived) -> Result<Submitted, DeskError> {
        submit::derive(&self.session, new).map_err(desk_error)
    }

    fn ask(&self, run: RunId, asked: Ask) -> Result<(), DeskError> {
        match asked {
            Ask::Request(request) => ask(&self.session, run, &request),
            Ask::Cancel => cancel(&self.session, run),
            Ask::Resume { budget } => resume(&self.session, run, budget),
        }
        .map_err(desk_error)
    }

    fn wake(&self) {
        stepwell_engine::wake(self.session.state_dir());
    }

    fn explain(&self, run: RunId, step: Option<&StepId>) -> Result<Value, DeskError> {
        let explain = || {
            let reader = self.session.reader()?;
            Ok(explanation(&self.session, &reader, run, step)?.1)
        };
        explain().map_err(desk_error)
    }

    fn effort(&self, run: RunId) -> Result<Value, DeskError> {
        let tell = || {
            let reader = self.session.reader()?;
            Ok(effort(&reader, &reader.run(run)?, self.session.settings.slots.value)?.json())
        };
        tell().map_err(desk_error)
    }

    fn machine(&self) -> MachineReadings {
        machine_readings(self.session.state_dir())
    }

    fn series(&self, run: RunId, step: &StepId) -> Result<Vec<SeriesPart>, DeskError> {
        let find = || Ok(series::parts(&self.session.reader()?, run, step)?);
        let parts: Result<_, CliError> = find();
        let part = |part: series::Part| SeriesPart { run: part.run, step: part.step, up_to: part.up_to };
        parts.map(|parts| parts.into_iter().map(part).collect()).map_err(desk_error)
    }

    fn provenance(&self, digest: &Digest) -> Result<Value, DeskError> {
        machine::provenance(&self.session, digest).map_err(desk_error)
    }

    fn pools(&self) -> Result<Value, DeskError> {
        machine::pools(&self.session).map_err(desk_error)
    }

    fn schedules(&self) -> Result<Value, DeskError> {
        machine::schedules(&self.session).map_err(desk_error)
    }

    fn add_schedule(&self, new: NewSchedule) -> Result<(), DeskError> {
        machine::add_schedule(&self.session, new).map_err(desk_error)
    }

    fn webhooks(&self) -> Result<Value, DeskError> {
        webhook::list_json(&self.session).map_err(desk_error)
    }

    fn test_webhook(&self, name: &str) -> Result<Value, DeskError> {
        webhook::test_json(&self.session, name).map_err(desk_error)
    }

    fn workflows(&self) -> Result<Vec<String>, DeskError> {
        Ok(names())
    }

    fn workflow(&self, name: &str) -> Result<Value, DeskError> {
        workflows::describe(&self.session, name).map_err(desk_error)
    }

    fn models(&self) -> Result<Vec<ModelCard>, DeskError> {
        let models = models::models(&self.session, &self.models).map_err(desk_error)?;
        Ok(models.iter().map(ServedModel::card).collect())
    }

    fn start_batch(&self, new: BatchRun) -> Result<RunId, DeskError> {
        batches::start(&self.session, &self.models, new).map_err(desk_error)
    }

    fn complete(&self, body: Body, sink: CompletionSink) -> Result<(), DeskError> {
        self.inference.ask(body, sink).map_err(|full| DeskError {
            code: "queue_full",
            message: full.to_string(),
            hint: None,
            problems: None,
        })
    }

    fn inference_load(&self) -> InferenceLoad {
        self.inference.load()
    }

    fn validate(&self, text: &str, params: &Map<String, Value>) -> Result<Value, DeskError> {
        workflows::validate(&self.session, text, params).map_err(desk_error)
    }
}

fn resume(session: &Session, run: RunId, budget: Budget) -> Result<(), CliError> {
    if !budget.is_unlimited() {
        ask(session, run, &Request::RaiseBudget { to: budget })?;
    }
    // A raised budget may have continued the run already.
    match session.reader()?.run(run)?.status {
        RunStatus::Running => Ok(()),
        _ => ask(session, run, &Request::Resume),
    }
}

fn cancel(session: &Session, run: RunId) -> Result<(), CliError> {
    let name = session.reader()?.run(run)?.name;
    match stepwell_engine::cancel(session.state_dir(), run, &session.settings.limits())? {
        Canceled::Done | Canceled::Requested | Canceled::EndedBefore(RunStatus::Canceled) => Ok(()),
        Canceled::EndedBefore(status) => Err(CliError::new(
            ErrorKind::Refused,
            format!("run {run} ({name}) has {} already: nothing to cancel", status.as_str()),
        )),
    }
}
