//! Budgets and deadlines: what is said about them, once, and what is stopped.

use std::process::{Command as Program, Stdio};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::executors::{AttemptId, Executor};
use stepwell_base::ids::RunId;
use stepwell_run::command::Command;
use stepwell_run::estimate::{estimate, tasks};
use stepwell_run::event::{Alert, Event, PauseCause, Recorded, RunEvent};
use stepwell_run::judgement::{self, alerts, is_used_up};
use stepwell_run::state::{Lifecycle, Step};

use super::clock::Clock;
use super::drive::Engine;
use super::error::EngineError;
use super::inbox::Message;
use super::run::Run;

/// Between two estimates of the same run: progress comes in more often than that.
const ESTIMATE_EVERY: Duration = Duration::from_secs(1);

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Alerts are committed with everything else of this round; a run whose budget is used up is paused, which
    /// lets its attempts write a checkpoint.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(super) fn judge_runs(&mut self) -> Result<(), EngineError> {
        self.open_accounts()?;
        let now = self.clock.now();
        let below = self.below(now);
        let runs: Vec<RunId> = self.runs.judged(self.round_at).map(|(id, _)| id).collect();
        for id in runs {
            let left = self.estimate_left(id, now);
            let Some(run) = self.runs.get(&id) else { continue };
            let below = below.get(&id).copied().unwrap_or_default();
            let said = alerts(&run.state, below, run.submitted_at, left, now);
            // An engine that drives only a child run has not resumed the one that pays for it.
            let goes_on = match run.state.lifecycle {
                Lifecycle::Active => true,
                Lifecycle::Interrupted => below.working > 0,
                Lifecycle::Paused | Lifecycle::Canceling => false,
            };
            let exhausted = goes_on && is_used_up(&run.state, below, now);
            for (alert, message) in &said {
                self.handle(id, Command::Alert { alert: *alert, message: message.clone() });
            }
            let why = said.into_iter().find(|(alert, _)| *alert == Alert::BudgetExhausted);
            if let (true, Some((_, reason))) = (exhausted, why) {
                self.handle(id, Command::Pause { cause: PauseCause::Budget, reason });
            }
        }
        Ok(())
    }

    fn estimate_left(&mut self, id: RunId, now: Timestamp) -> Option<Duration> {
        let run = self.runs.get(&id).filter(|run| run.state.spec().sla.is_some() && run.state.end.is_none())?;
        if let Some((at, left)) = run.estimated
            && self.clock.instant().duration_since(at) < ESTIMATE_EVERY
        {
            return left;
        }
        let progress = |step: &Step| {
            let attempt = AttemptId { run: id, step: step.id.clone(), fence: step.fence };
            self.attempts.get(&attempt).and_then(|running| running.progress)
        };
        let tasks = tasks(&run.state, progress, &run.usual);
        let left = estimate(&tasks, self.options.slots, now).map(|estimate| estimate.left);
        let estimated_at = self.clock.instant();
        if let Some(run) = self.runs.get_mut(&id) {
            run.estimated = Some((estimated_at, left));
        }
        left
    }

    /// The next time at which a budget is used up or a deadline passes.
    pub(super) fn next_judgement(&mut self, now: Timestamp) -> Option<Timestamp> {
        let below = self.below(now);
        let below = |id: RunId| below.get(&id).copied().unwrap_or_default();
        let next = |(id, run): (RunId, &Run)| judgement::next_judgement(&run.state, below(id), run.submitted_at, now);
        self.runs.judged(self.round_at).filter_map(next).min()
    }

    /// Starts the owner's program for an alert that is committed. At most once: an engine that dies at this very
    /// moment does not start it again.
    pub(super) fn call_for_alert(&mut self, recorded: &Recorded) {
        let Event::Run(RunEvent::Alerted { alert, message }) = &recorded.event else { return };
        let Some((program, arguments)) = self.options.limits.alert_command.split_first() else { return };
        let name = self.runs.get(&recorded.run).map(|run| run.name.clone()).unwrap_or_default();
        let started = Program::new(program)
            .args(arguments)
            .env("STEPWELL_RUN_ID", recorded.run.to_string())
            .env("STEPWELL_RUN_NAME", name)
            .env("STEPWELL_ALERT", alert.as_str())
            .env("STEPWELL_ALERT_MESSAGE", message)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // No failpoint: an alert may be lost.
            .spawn();
        let shown = program.clone();
        match started {
            Ok(mut child) => {
                let sender = self.sender.clone();
                thread::spawn(move || {
                    let problem = match child.wait() {
                        Ok(status) if status.success() => return,
                        Ok(status) => format!("the alert command `{shown}` failed: {status}"),
                        Err(error) => format!("the alert command `{shown}` was lost: {error}"),
                    };
                    // An engine that has gone cannot tell anybody.
                    let _ = sender.send(Message::Warning(problem));
                });
            }
            Err(error) => self.observer.warn(&format!("the alert command `{shown}` cannot be started: {error}")),
        }
    }
}
