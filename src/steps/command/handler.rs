//! The step kind `command`.

use std::ffi::OsString;

use serde_json::{Value, json};

use crate::core::artifact::Outputs;
use crate::core::failure::Failure;
use crate::faults::around;
use crate::steps::{StepContext, StepError, StepHandler, arguments};

use super::arguments::Arguments;
use super::checkpoint::CheckpointDir;
use super::environment::{Places, variables};
use super::progress::ProgressFile;
use super::{inputs, outputs, program};

pub(in crate::steps) struct Command;

impl StepHandler for Command {
    fn kind(&self) -> &'static str {
        "command"
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

    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        arguments.command_line()?;
        if arguments.inputs.is_empty() {
            return Ok(Value::Null);
        }
        Ok(json!({ "inputs": inputs::digests(&arguments.inputs)? }))
    }

    fn reusable(&self, with: &Value) -> bool {
        arguments::<Arguments>(with).is_ok_and(|arguments| arguments.cacheable())
    }

    /// The work is done by the program, which has a process of its own.
    fn leaves_no_trace(&self) -> bool {
        program::HAS_OWN_GROUP
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments = context.arguments::<Arguments>()?.with_paths(context.artifacts, context.scratch())?;
        let command_line = arguments.command_line()?;
        let places = Places::prepare(&arguments, context.scratch())?;
        let checkpoints = CheckpointDir::prepare(context)?;
        let own = arguments.environment()?.into_iter().map(|(name, value)| (name, OsString::from(value)));
        let ours = variables(context.request, &places, checkpoints.path());
        let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
        let program = program::start(&command_line, &places.work, &own.chain(ours).collect::<Vec<_>>(), context)?;
        program::supervise(program, &checkpoints, ProgressFile::new(places.progress.clone()), context)?;
        let declared = [places.output.as_path(), places.work.as_path()];
        let collect = || outputs::collect(context.artifacts, &arguments.outputs, declared, &places.values);
        Ok(around!("command.outputs", collect())?)
    }
}
