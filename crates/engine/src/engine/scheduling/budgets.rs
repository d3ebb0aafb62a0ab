//! Budgets and deadlines: sends each alert once, and pauses a run whose budget is used up.

use std::process::{Command as Program, Stdio};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::executors::{AttemptId, Executor};
use std::collections::HashMap;
use stepwell_base::ids::RunId;
use stepwell_run::command::Command;
use stepwell_run::estimate::{estimate, tasks};
use stepwell_run::event::{Alert, Event, PauseCause, Recorded, RunEvent};
use stepwell_run::judgement::ChildUsage;
use stepwell_run::judgement::{self, alerts, is_used_up};
use stepwell_run::state::{Lifecycle, Step};
use stepwell_store::StoreError;
use stepwell_workflow::budget::Budget;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::state::run::Run;
use crate::error::EngineError;
use crate::inbox::Message;
use crate::notifier::Alarm;

/// Minimum time between two estimates of a run, because progress arrives more often.
const ESTIMATE_EVERY: Duration = Duration::from_secs(1);

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Opens the accounts that pay for each newly loaded run. Loads every run above it that has a budget, even if this
    /// engine does not drive that run.
    pub(crate) fn open_accounts(&mut self) -> Result<(), EngineError> {
        loop {
            let new = self.runs.unaccounted(self.round_at);
            if new.is_empty() {
                return Ok(());
            }
            for id in new {
                let Some(run) = self.runs.get_mut(&id) else { continue };
                run.accounted = true;
                let payers: Vec<RunId> = run.ancestors.iter().copied().chain([id]).collect();
                for payer in payers {
                    if !self.accounts.is_open(payer) {
                        self.open_account(payer)?;
                    }
                }
            }
        }
    }

    fn open_account(&mut self, payer: RunId) -> Result<(), EngineError> {
        let budget = match self.runs.get(&payer) {
            Some(run) => run.state.budget,
            None => match self.stored_budget(payer) {
                Err(error) if error.concerns_one_run() => {
                    self.set_aside(payer, &error.to_string());
                    Budget::default()
                }
                budget => budget?,
            },
        };
        if budget.cap().is_none() {
            self.accounts.open_without_budget(payer);
            return Ok(());
        }
        // The sums must include every decision so far.
        self.flush()?;
        if self.load_readable(payer)?.is_err() {
            self.accounts.open_without_budget(payer);
            return Ok(());
        }
        let (own, below) = (self.store.reader().compute(payer)?, self.store.reader().compute_of_descendants(payer)?);
        if let Some(run) = self.runs.get_mut(&payer) {
            run.state.compute = own;
        }
        self.accounts.open(payer, below);
        Ok(())
    }

    /// Returns the budget of a payer. A run that has ended pays for nothing.
    fn stored_budget(&self, payer: RunId) -> Result<Budget, StoreError> {
        match self.store.reader().run(payer)?.stored_status.is_terminal() {
            true => Ok(Budget::default()),
            false => self.store.reader().budget(payer),
        }
    }

    /// Returns, for each run with a budget, the usage of the runs below it until now.
    pub(crate) fn below(&mut self, now: Timestamp) -> HashMap<RunId, ChildUsage> {
        let open = self.accounts.iter();
        let mut all: HashMap<RunId, ChildUsage> =
            open.map(|(run, compute)| (run, ChildUsage { compute, working: 0 })).collect();
        if all.is_empty() {
            return all;
        }
        for (_, run) in self.runs.leased(self.round_at) {
            for (_, lease) in run.state.leases() {
                for ancestor in &run.ancestors {
                    if let Some(below) = all.get_mut(ancestor) {
                        below.compute += lease.worked(now);
                        below.working += 1;
                    }
                }
            }
        }
        all
    }

    /// Alerts people and pauses runs whose budget is used up. A pause lets attempts write a checkpoint. Alerts share
    /// the commit of this round.
    pub(crate) fn check_budgets(&mut self) -> Result<(), EngineError> {
        self.open_accounts()?;
        let now = self.clock.now();
        let below = self.below(now);
        let runs: Vec<RunId> = self.runs.judged(self.round_at).map(|(id, _)| id).collect();
        for id in runs {
            let left = self.estimate_left(id, now);
            let Some(run) = self.runs.get(&id) else { continue };
            let below = below.get(&id).copied().unwrap_or_default();
            let said = alerts(&run.state, below, run.submitted_at, left, now);
            // An engine that drives only a child run leaves the paying run interrupted.
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
    pub(crate) fn next_judgement(&mut self, now: Timestamp) -> Option<Timestamp> {
        let below = self.below(now);
        let below = |id: RunId| below.get(&id).copied().unwrap_or_default();
        let next = |(id, run): (RunId, &Run)| judgement::next_judgement(&run.state, below(id), run.submitted_at, now);
        self.runs.judged(self.round_at).filter_map(next).min()
    }

    /// Starts the owner's program for a committed alert, at most once: an engine that dies at this moment does not
    /// start it again.
    pub(crate) fn call_for_alert(&mut self, recorded: &Recorded) {
        let Event::Run(RunEvent::Alerted { alert, message }) = &recorded.event else { return };
        let Some((program, arguments)) = self.options.limits.alert_command.split_first() else {
            let (run, kind, message, at) = (recorded.run, alert.as_str(), message.clone(), recorded.at);
            return self.raise(Alarm { run, kind, message, at });
        };
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
                    // Sending fails only when the engine is gone.
                    let _ = sender.send(Message::Warning(problem));
                });
            }
            Err(error) => self.observer.warn(&format!("the alert command `{shown}` cannot be started: {error}")),
        }
    }
}
