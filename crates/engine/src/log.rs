//! Logs the engine's actions to the program's own log. It omits payloads, arguments and outputs: they may be large, and
//! a program may print a secret.

use std::time::Duration;

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, MetricRow, Progress};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEvent, StepEventKind};
use tracing::{debug, info, warn};

use crate::options::{Observer, SpaceWait};

/// Target of warnings that an observer also shows, so that standard error can leave them out.
pub const SHOWN: &str = "stepwell_engine::shown";

/// Logs each call and passes it on.
pub(super) struct Logged<'a> {
    pub observer: &'a mut dyn Observer,
}

impl Observer for Logged<'_> {
    fn event(&mut self, recorded: &Recorded) {
        log(recorded);
        self.observer.event(recorded);
    }

    fn progress(&mut self, run: RunId, step: &StepId, progress: &Progress) {
        self.observer.progress(run, step, progress);
    }

    fn metric(&mut self, run: RunId, step: &StepId, row: &MetricRow) {
        self.observer.metric(run, step, row);
    }

    fn measured(&mut self, run: RunId, step: &StepId, row: &Measurement) {
        self.observer.measured(run, step, row);
    }

    fn waiting_for_space(&mut self, wait: &SpaceWait) {
        let (path, needed, free) = (wait.path.display(), wait.needed_bytes, wait.free_bytes);
        warn!(target: SHOWN, %path, needed, free, "waits for disk space: {}", wait.reason);
        self.observer.waiting_for_space(wait);
    }

    fn warn(&mut self, message: &str) {
        warn!(target: SHOWN, "{message}");
        self.observer.warn(message);
    }

    fn stopping(&mut self, grace: Duration) {
        info!(grace_seconds = grace.as_secs(), "stops: attempts may write a checkpoint");
        self.observer.stopping(grace);
    }
}

fn log(recorded: &Recorded) {
    let run = recorded.run;
    match &recorded.event {
        Event::Run(event) => log_run(run, event),
        Event::Step(event) => log_step(run, event),
    }
}

fn log_run(run: RunId, event: &RunEvent) {
    match event {
        RunEvent::Submitted { name, workflow, .. } => info!(%run, name, workflow, "run submitted"),
        RunEvent::Started => info!(%run, "run started"),
        RunEvent::Interrupted { reason } => info!(%run, reason, "run interrupted"),
        RunEvent::Paused { reason, .. } => info!(%run, reason, "run paused"),
        RunEvent::Alerted { message, .. } => warn!(target: SHOWN, %run, "alert: {message}"),
        RunEvent::BudgetRaised { .. } => info!(%run, "budget raised"),
        RunEvent::SignalReceived { name, .. } => info!(%run, name, "signal received"),
        RunEvent::CancelRequested => info!(%run, "cancel requested"),
        RunEvent::Canceled => info!(%run, "run canceled"),
        RunEvent::Succeeded => info!(%run, "run succeeded"),
        RunEvent::Failed { step, failure } => info!(%run, %step, "run failed: {}", failure.message),
        RunEvent::Resumed => info!(%run, "run resumed"),
        RunEvent::Pruned => info!(%run, "run pruned"),
    }
}

fn log_step(run: RunId, StepEvent { step, fence, kind }: &StepEvent) {
    let fence = fence.map(|fence| fence.0);
    match kind {
        StepEventKind::AttemptStarted { attempt, .. } => info!(%run, %step, fence, attempt, "attempt started"),
        StepEventKind::AttemptSpawned { process } => debug!(%run, %step, fence, pid = process.pid, "process started"),
        StepEventKind::AttemptFailed { failure } => info!(%run, %step, fence, "attempt failed: {}", failure.message),
        StepEventKind::AttemptReleased { reason, .. } => info!(%run, %step, fence, "attempt released: {reason}"),
        StepEventKind::AttemptRewound { last_step } => info!(%run, %step, fence, last_step, "attempt rewound"),
        StepEventKind::CheckpointCommitted { checkpoint } => {
            info!(%run, %step, fence, last_step = checkpoint.last_step, "checkpoint committed");
        }
        StepEventKind::Succeeded { .. } => info!(%run, %step, fence, "step succeeded"),
        StepEventKind::Failed { failure } => info!(%run, %step, "step failed: {}", failure.message),
        StepEventKind::Reused { from, .. } => info!(%run, %step, %from, "step reused"),
        StepEventKind::Waiting { .. } => info!(%run, %step, "step waits"),
        StepEventKind::Skipped { reason } => info!(%run, %step, reason, "step skipped"),
        StepEventKind::Canceled => info!(%run, %step, "step canceled"),
        StepEventKind::Note { message } => info!(%run, %step, fence, "note: {message}"),
        StepEventKind::Ready { not_before } => debug!(%run, %step, %not_before, "step ready"),
        StepEventKind::Expanded { items } => debug!(%run, %step, items = items.len(), "step expanded"),
        StepEventKind::Decided { .. } => info!(%run, %step, "step decided"),
        StepEventKind::CheckpointAdopted { from, .. } => info!(%run, %step, %from, "checkpoint adopted"),
    }
}
