//! Handler of the step kind `command`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{Finding, StepContext, StepError, StepHandler, Surroundings, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::faults::around;
use stepwell_workflow::catalog::{Given, Gives};
use stepwell_workflow::kinds::COMMAND;

use super::arguments::Arguments;
use super::checkpoint::CheckpointDir;
use super::environment::{Places, variables};
use super::files::{Project, Unchanged, fingerprint, note_of, resolve};
use super::program::{self, Reports};
use super::redact::Redactor;
use super::reporter::RedactedReporter;
use super::reports::{MetricsFile, ProgressFile, catch_up, metrics_file};
use super::secrets::Secrets;
use super::start_failure::Start;
use super::{look_ahead, missing_file, outputs};

pub(crate) struct Command;

impl StepHandler for Command {
    fn kind(&self) -> &'static str {
        COMMAND
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "runs any program, with checkpoints if it wants them"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives { outputs: Given::KeysOf("outputs"), values: Given::Any }
    }

    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        self.fingerprint_in(with, &Surroundings { project: Path::new(""), file: None, earlier: None })
    }

    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let mut arguments: Arguments = arguments(with)?;
        arguments.command_line()?;
        arguments.environment()?;
        // The child works on its file, however the arguments name it.
        let project = Project(surroundings.project);
        let file = surroundings.file.map(PathBuf::from).filter(|file| project.find(file).is_file());
        arguments.inputs.extend(file);
        let fingerprint = fingerprint(&arguments, project, surroundings.earlier)?;
        // Without the folder nobody knows which files the arguments name: the step would start over and lose what it has done,
        // or reuse what another version of them gave.
        let is_uncertain = || match surroundings.earlier {
            Some(earlier) => *earlier != fingerprint,
            None => arguments.may_name_files(),
        };
        if project.is_known() && !project.0.is_dir() && is_uncertain() {
            let message = format!("the folder of the workflow file, `{}`, does not exist", project.0.display());
            return Err(Failure::fatal(message).with_hint(
                "was it moved? Put it back and use `stepwell resume`, or run the workflow in its new place: finished steps are reused",
            ));
        }
        Ok(fingerprint)
    }

    fn look_ahead(&self, with: &Map<String, Value>, project: &Path) -> Vec<Finding> {
        look_ahead::look_ahead(with, Project(project))
    }

    fn reusable(&self, with: &Value) -> bool {
        arguments::<Arguments>(with).is_ok_and(|arguments| arguments.cacheable())
    }

    /// The program works in its own process.
    fn leaves_no_trace(&self) -> bool {
        program::HAS_OWN_GROUP
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let secrets = Secrets::read(&context.request.secrets, Project(&context.request.project_dir))?;
        let redactor = secrets.redactor();
        let StepContext { request, artifacts, reporter } = context;
        let mut reporter = RedactedReporter { inner: &mut **reporter, redactor: redactor.clone() };
        let mut context = StepContext { request, artifacts, reporter: &mut reporter };
        match run(&secrets.reveal(&request.with), &redactor, &mut context) {
            Ok(outputs) => Ok(Outputs { values: redactor.values(outputs.values)?, ..outputs }),
            Err(StepError::Failed(failure)) => Err(StepError::Failed(redactor.failure(failure))),
            Err(StepError::Interrupted) => Err(StepError::Interrupted),
        }
    }
}

/// A note about files that are lost. A step with `outputs` has chosen what stays, and the items of a fan-out say it once.
fn left_behind(arguments: &Arguments, places: &Places, context: &StepContext<'_>) -> Option<String> {
    let step = context.request.step.as_str();
    let is_told_elsewhere = step.contains('[') && !step.ends_with("[0]");
    if !arguments.outputs.is_empty() || is_told_elsewhere {
        return None;
    }
    // A folder that the step chose with `cwd` stays.
    match &arguments.cwd {
        Some(_) => note_of(&[&places.output]),
        None => note_of(&[&places.output, &places.work]),
    }
}

fn run(with: &Value, redactor: &Redactor, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let project_dir = context.request.project_dir.clone();
    let project = Project(&project_dir);
    let mut arguments = arguments::<Arguments>(with)?.with_paths(context.artifacts, context.scratch())?;
    resolve(&mut arguments, project);
    let command_line = arguments.command_line()?;
    let places = Places::prepare(&arguments, project, context.scratch())?;
    catch_up(&places.metrics, context.request.attempt, context.request.measured_up_to, context.reporter);
    let checkpoints = CheckpointDir::prepare(context)?;
    let own = arguments.environment()?.into_iter().map(|(name, value)| (name, OsString::from(value)));
    let ours = variables(context.request, project, &places, checkpoints.path());
    let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
    let variables: Vec<_> = own.chain(ours).collect();
    let start = Start { command_line: &command_line, variables: &variables, work: &places.work, project };
    let unchanged = Unchanged::start(&context.request.fingerprint, project, context.request.attempt)?;
    let program = program::start(&start, redactor, context)?;
    let metrics = MetricsFile::new(metrics_file(&places.metrics, context.request.attempt));
    let mut reports = Reports { progress: ProgressFile::new(places.progress.clone()), metrics, checkpoints };
    program::supervise(program, &mut reports, context)
        .map_err(|error| missing_file::explain(error, &start, context))?;
    for path in unchanged.end()? {
        context.reporter.note(format!("`{}`, which `argv` names, changed while the program ran", path.display()));
    }
    if let Some(note) = left_behind(&arguments, &places, context) {
        context.reporter.note(note);
    }
    let declared = [places.output.as_path(), places.work.as_path()];
    let collect = || outputs::collect(context.artifacts, &arguments.outputs, declared, &places.values);
    Ok(around!("command.outputs", collect())?)
}
