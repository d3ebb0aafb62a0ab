//! Options of an engine, and the interface through which the caller observes it.

use std::path::PathBuf;
use std::time::Duration;

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, MetricRow, Progress};
use stepwell_run::event::Recorded;
use stepwell_workflow::limits::Limits;

/// Selects the runs to drive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// This run and its child runs.
    Run(RunId),
    /// Every run that has not ended, including runs submitted later.
    All { exit_when_idle: bool },
    /// No run: the engine only answers requests of other processes.
    Requests,
}

/// First action on the runs to drive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// Resumes interrupted and failed runs, and leaves paused runs alone.
    #[default]
    GoOn,
    /// Resumes paused runs as well.
    Resume,
    /// Gives new retries to only this failed step, or to all failed steps.
    Retry { step: Option<StepId> },
}

#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub state_dir: PathBuf,
    pub scope: Scope,
    /// Maximum number of attempts in child processes at a time, at least 1.
    pub slots: usize,
    /// Pools, rate limits and the alert command.
    pub limits: Limits,
    /// Number of engine deaths in a row that leads to safe mode; 0 disables it.
    pub crash_loop_limit: u64,
    /// Maximum size of an attempt's log in bytes; 0 means no limit.
    pub log_limit: u64,
    pub start: Start,
}

/// Result of the engine's work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Succeeded,
    Failed,
    Canceled,
    /// A signal stopped the engine; `resume` continues.
    Interrupted,
    /// The run waits until a person resumes it.
    Paused,
    /// `Scope::All` has nothing left to do, or all requests are answered.
    Idle,
}

/// Reason for a wait for disk space, and its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpaceWait {
    pub reason: String,
    /// Folder on the full disk.
    pub path: PathBuf,
    pub needed_bytes: u64,
    pub free_bytes: u64,
}

/// Observes the engine. Calls run on the engine's thread, so they must be quick.
pub trait Observer {
    /// Called after the event is committed.
    fn event(&mut self, recorded: &Recorded);
    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress);
    /// Called after the row is committed.
    fn metric(&mut self, run: RunId, step: &StepId, row: &MetricRow);
    /// Called after what a program measured is committed.
    fn measured(&mut self, _run: RunId, _step: &StepId, _row: &Measurement) {}
    /// Called once per wait: nothing continues until the disk has space again.
    fn waiting_for_space(&mut self, _wait: &SpaceWait) {}
    /// Shows people a message that is not part of the history.
    fn warn(&mut self, _message: &str) {}
    /// Called when the engine is asked to stop. `grace` is the time that running attempts have to write a checkpoint.
    fn stopping(&mut self, _grace: Duration) {}
}

/// Ignores everything.
pub struct Quiet;

impl Observer for Quiet {
    fn event(&mut self, _recorded: &Recorded) {}
    fn progress(&mut self, _run: RunId, _step: &StepId, _progress: &Progress) {}
    fn metric(&mut self, _run: RunId, _step: &StepId, _row: &MetricRow) {}
}
