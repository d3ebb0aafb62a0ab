//! Steps per second, from the times in the log: the start of the process does not count.

use std::fs;
use std::path::Path;
use std::process::Child;

use jiff::Unit;

use stepwell_store::{Reader, RunRow};

use super::error::BenchError;
use super::observe::{finish, stepwell};

/// A finished run of `stepwell run`.
pub(super) struct Measured {
    pub seconds: f64,
    /// Peak memory of the engine, MiB.
    pub peak: Option<f64>,
    pub run: RunRow,
}

/// Runs a workflow in a state directory, which is created if needed.
pub(super) fn run(folder: &Path, state_dir: &Path, workflow: &str) -> Result<Measured, BenchError> {
    let file = folder.join("workflow.toml");
    fs::write(&file, workflow).map_err(BenchError::system("write the workflow"))?;
    let arguments = ["--quiet", "run", &file.to_string_lossy(), "--no-reuse"];
    let peak = finish(start(state_dir, &arguments)?, "run")?;
    measured(state_dir, peak)
}

/// Runs a workflow as [`run`] does, but one process submits the run and another drives it: the memory is that of the
/// engine alone, without the parser.
pub(super) fn serve(folder: &Path, state_dir: &Path, workflow: &str) -> Result<Measured, BenchError> {
    let file = folder.join("workflow.toml");
    fs::write(&file, workflow).map_err(BenchError::system("write the workflow"))?;
    let arguments = ["--quiet", "run", &file.to_string_lossy(), "--no-reuse", "--detach"];
    finish(start(state_dir, &arguments)?, "run --detach")?;
    let peak = finish(start(state_dir, &["--quiet", "worker", "--exit-when-idle"])?, "worker")?;
    measured(state_dir, peak)
}

fn start(state_dir: &Path, arguments: &[&str]) -> Result<Child, BenchError> {
    stepwell(state_dir, arguments)?.spawn().map_err(BenchError::system("start the engine"))
}

fn measured(state_dir: &Path, peak: Option<f64>) -> Result<Measured, BenchError> {
    let reader = Reader::open(state_dir)?;
    let run = reader.run(reader.resolve_run("last")?)?;
    let seconds = run.started_at.zip(run.finished_at).and_then(|(from, to)| (to - from).total(Unit::Second).ok());
    let seconds = seconds.ok_or_else(|| BenchError::Child {
        command: "run".to_owned(),
        what: "has left a run without a start and an end".to_owned(),
    })?;
    Ok(Measured { seconds: seconds.max(0.001), peak, run })
}

/// Runs a workflow in a temporary state directory and returns steps per second.
pub(super) fn rate(folder: &Path, steps: usize, workflow: &str) -> Result<f64, BenchError> {
    let state_dir = folder.join("state");
    let measured = run(folder, &state_dir, workflow)?;
    fs::remove_dir_all(&state_dir).map_err(BenchError::system("remove the temporary state directory"))?;
    Ok(steps as f64 / measured.seconds)
}
