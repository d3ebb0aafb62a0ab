//! `stepwell worker look|end FOLDER`: what a machine without a batch system knows of an attempt, and how it ends one.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::folder::JobFolder;
use crate::executors::executor::AttemptId;
use crate::executors::process::{end_leftovers, is_alive};

/// Answers of `look`.
pub(super) const ABSENT: &str = "absent";
pub(super) const RUNNING: &str = "running";
pub(super) const ENDED: &str = "ended";

/// Prints whether an agent runs the attempt.
pub fn look(folder: &Path) -> ExitCode {
    let folder = JobFolder::at(folder);
    let state = match folder.agent().and_then(|agent| agent.process) {
        Some(process) if is_alive(&process) => RUNNING,
        Some(_) => ENDED,
        None if folder.is_claimed() => ENDED,
        None => ABSENT,
    };
    print(state)
}

/// Kills the agent, the worker and every process of the attempt, and prints those that are left.
pub fn end(folder: &Path) -> ExitCode {
    let folder = JobFolder::at(folder);
    let Ok(Some(job)) = folder.read_job() else { return print("") };
    // An agent that starts later finds the attempt taken.
    let claimed = folder.claim();
    let agent = if claimed.is_ok_and(|first| first) { None } else { folder.agent().and_then(|agent| agent.process) };
    let id = AttemptId { run: job.request.run, step: job.request.step.clone(), fence: job.request.fence };
    let survivors = end_leftovers(&id, agent.as_ref());
    print(&survivors.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
}

fn print(text: &str) -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the answer to the engine that asks")]
    let written = writeln!(io::stdout(), "{text}");
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
