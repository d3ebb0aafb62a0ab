//! What the state directory knows, for answers that name runs and outputs of it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::view::export_folder::ExportFolder;
use crate::view::output::shown_path;
use crate::view::run_handle::handle;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell;
use stepwell_config::{Partial, Settings};
use stepwell_store::Reader;
use stepwell_workflow::spec::WorkflowSpec;

/// Most outputs that an answer names.
const MOST_NAMED: usize = 3;

/// The state directory of a command line that does not parse.
pub struct State(Option<PathBuf>);

impl State {
    pub fn of(words: &[OsString]) -> State {
        State(named(words))
    }

    /// `None` without a state directory, or with one that cannot be read.
    pub fn reader(&self) -> Option<Reader> {
        Reader::open(&self.settings()?.state_dir.value).ok()
    }

    /// The settings, with the state directory that the command line names.
    pub fn settings(&self) -> Option<Settings> {
        stepwell_config::load(Partial { state_dir: self.0.clone(), ..Partial::default() }).ok()
    }
}

/// The state directory that the words name.
pub fn named(words: &[OsString]) -> Option<PathBuf> {
    let flag = words.iter().position(|word| word == "--state-dir").and_then(|at| words.get(at + 1)).map(PathBuf::from);
    let joined = || words.iter().find_map(|word| word.to_str()?.strip_prefix("--state-dir=").map(PathBuf::from));
    flag.or_else(joined)
}

/// The run that one of the words names, or else the newest one; with its name for a command line.
pub fn run_of(reader: &Reader, words: &[&str]) -> Option<(RunId, String)> {
    let plain = words.iter().filter(|word| !word.starts_with('-'));
    let named = plain.filter_map(|word| reader.resolve_run(word.split('/').next()?).ok()).next();
    let run = named.or_else(|| reader.resolve_run("last").ok())?;
    Some((run, handle(reader, &reader.run(run).ok()?)))
}

/// The folder that holds the exported model of the run that the words name.
pub fn exported(state: &State, reader: &Reader, words: &[&str]) -> Option<String> {
    let (run, name) = run_of(reader, words)?;
    let settings = state.settings()?;
    let folder = ExportFolder::at(&settings.state_dir.value, &settings.export_dir.value);
    let folder = folder.of_run(&reader.run(run).ok()?);
    folder.is_dir().then(|| format!("the model of run `{name}` lies in `{}` already", shown_path(&folder)))
}

/// Commands that copy outputs of a run.
pub fn outputs(reader: &Reader, words: &[&str]) -> Option<String> {
    let (run, name) = run_of(reader, words)?;
    let outputs = reader.artifacts(Some(run)).ok().filter(|outputs| !outputs.is_empty())?;
    let get = |(step, output, _): &(StepId, String, _)| {
        shell::stepwell("artifact get", [&*format!("{name}/{step}/{output}"), "FILE"])
    };
    // The results of a pipeline come from its last steps.
    let shown: Vec<String> = outputs.iter().rev().take(MOST_NAMED).map(get).collect();
    let list = shell::stepwell("artifact ls", [&*name]);
    Some(match outputs.len() {
        1 => format!("{} copies the output of run `{name}`", shown[0]),
        count => format!("{} copies an output; {list} lists all {count} of run `{name}`", shown.join(" or ")),
    })
}

/// A step of the run whose arguments use the param, for a fork with another value.
pub fn step_with(spec: &WorkflowSpec, param: &str) -> Option<StepId> {
    let wanted = format!("params.{param}");
    let uses = |text: &str| text.contains(&wanted);
    let step = spec.steps.iter().find(|step| {
        uses(&serde_json::Value::from(step.with.clone()).to_string()) || step.for_each.as_deref().is_some_and(uses)
    })?;
    Some(step.id.clone())
}
