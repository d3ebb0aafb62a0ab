//! What the caller says to the engine, and what it hears back.

use std::path::PathBuf;
use std::time::Duration;

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{MetricRow, Progress};
use stepwell_run::event::Recorded;
use stepwell_workflow::limits::Limits;

/// Which runs to drive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// This one.
    Run(RunId),
    /// Every run that has not ended, and those that are submitted meanwhile.
    All { exit_when_idle: bool },
    /// Nothing is run: only requests of other processes are answered.
    Requests,
}

/// What is done first with the runs to drive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// Taken up again when it was interrupted or had failed; left alone when it is paused.
    #[default]
    GoOn,
    /// Also when it is paused.
    Resume,
    /// Only this failed step, or all of them, gets new retries.
    Retry { step: Option<StepId> },
}

#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub state_dir: PathBuf,
    pub scope: Scope,
    /// Attempts in child processes at a time, at least 1.
    pub slots: usize,
    /// Pools, rate limits and what to do about alerts.
    pub limits: Limits,
    /// So many deaths of engines in a row lead to safe mode; 0: none do.
    pub crash_loop_limit: u64,
    /// Most bytes that the log of an attempt keeps; 0: any number.
    pub log_limit: u64,
    pub start: Start,
}

/// How the engine's work ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Succeeded,
    Failed,
    Canceled,
    /// Stopped by a signal; `resume` goes on.
    Interrupted,
    /// A person has to say that the run goes on.
    Paused,
    /// `Scope::All` with nothing left to do, or requests answered.
    Idle,
}

/// Why the engine waits, and what for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpaceWait {
    pub reason: String,
    /// On the disk of this folder.
    pub path: PathBuf,
    pub needed_bytes: u64,
    pub free_bytes: u64,
}

/// Watches. Called on the engine's thread, so it must be quick.
pub trait Observer {
    /// After the event was committed.
    fn event(&mut self, recorded: &Recorded);
    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress);
    /// After the row was committed.
    fn metric(&mut self, run: RunId, step: &StepId, row: &MetricRow);
    /// Nothing can go on until the disk has space again. Called once per wait.
    fn waiting_for_space(&mut self, _wait: &SpaceWait) {}
    /// Something that a person should know, and that is not part of the history.
    fn warn(&mut self, _message: &str) {}
    /// Time that running attempts get to write a checkpoint when the engine is asked to stop.
    fn stopping(&mut self, _grace: Duration) {}
}

/// Sees nothing.
pub struct Quiet;

impl Observer for Quiet {
    fn event(&mut self, _recorded: &Recorded) {}
    fn progress(&mut self, _run: RunId, _step: &StepId, _progress: &Progress) {}
    fn metric(&mut self, _run: RunId, _step: &StepId, _row: &MetricRow) {}
}
