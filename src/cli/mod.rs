//! Command line: one file per verb. Data goes to standard output, everything else to standard error.

mod args;
mod artifact;
mod cancel;
mod completions;
mod config;
mod db;
mod dispatch;
mod doctor;
mod error;
mod exit_code;
mod explain;
mod export_folder;
mod foreground;
#[cfg(feature = "train")]
mod generate;
mod list;
mod logs;
#[cfg(feature = "train")]
mod model;
mod output;
mod progress;
mod report;
mod resume;
mod run;
mod session;
mod show;
mod smoke_test;
mod start_training;
mod watch;
mod worker;
mod workflow;
mod workflow_source;

pub use args::Cli;
pub use dispatch::main;
pub use exit_code::Exit;
use std::path::PathBuf;
use std::process::ExitCode;
use crate::core::ids::RunId;
use crate::core::{key, parse};
use crate::engine::{EngineOptions, Outcome, Quiet, Scope, cancel, drive};
use crate::steps::{catalog, run_as_child_of};
use crate::store::{NewRun, Reader, Store, Submitted};
/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let result = match words.as_slice() {
        ["worker", "exec"] => return crate::worker::exec(),
        ["worker", "trampoline", parent, "--", ..] => {
            return run_as_child_of(parent.parse().unwrap_or(0), &arguments[4..]);
        }
        ["run", file, "--state-dir", state] => submit(file, state).and_then(|run| follow(state, Scope::Run(run))),
        ["resume", text, "--state-dir", state] => Reader::open(state.as_ref())
            .and_then(|reader| reader.resolve_run(text))
            .map_err(|error| error.to_string())
            .and_then(|run| follow(state, Scope::Run(run))),
        ["worker", "--state-dir", state] => follow(state, Scope::All { exit_when_idle: true }),
        ["cancel", text, "--state-dir", state] => Reader::open(state.as_ref())
            .and_then(|reader| reader.resolve_run(text))
            .map_err(|error| error.to_string())
            .and_then(|run| cancel(state.as_ref(), run).map_err(|error| error.to_string()))
            .map(|_| ExitCode::SUCCESS),
        _ => Err("usage".to_owned()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("stepwell: {error}");
        ExitCode::FAILURE
    })
}
fn submit(file: &str, state: &str) -> Result<RunId, String> {
    let source = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let spec = parse::workflow(&source, file, &[], &catalog()).map_err(|error| format!("{error:?}"))?;
    let id = RunId(uuid::Uuid::now_v7());
    let mut store = Store::open(state.as_ref()).map_err(|error| error.to_string())?;
    let spec_digest = key::spec_digest(&spec);
    let new =
        NewRun { id, name: spec.name.clone(), spec, spec_digest, idempotency_key: None, at: jiff::Timestamp::now() };
    match store.submit(new).map_err(|error| error.to_string())? {
        Submitted::New => Ok(id),
        Submitted::Existing(id) => Ok(id),
    }
}
fn follow(state: &str, scope: Scope) -> Result<ExitCode, String> {
    let options = EngineOptions { state_dir: PathBuf::from(state), scope, slots: 2, reuse: true };
    match drive(options, &mut Quiet) {
        Ok(Outcome::Succeeded | Outcome::Idle) => Ok(ExitCode::SUCCESS),
        Ok(Outcome::Failed) => Ok(ExitCode::from(3)),
        Ok(Outcome::Canceled) => Ok(ExitCode::from(5)),
        Ok(Outcome::Interrupted) => Ok(ExitCode::from(130)),
        Err(error) => Err(format!("{error}; {}", error.hint().unwrap_or_default())),
    }
}
