//! Answers the requests that other processes write to the database.

use crate::executors::Executor;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::command::Command;
use stepwell_run::decide::to_retry;
use stepwell_run::event::{PauseCause, Wait};
use stepwell_run::request::Request;
use stepwell_run::state::{Lifecycle, RunEnd, RunState};
use stepwell_store::{Answer, RequestRow};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::state::run::Run;
use crate::error::EngineError;
use crate::options::Scope;

/// Maximum number of steps that a refusal names.
const NAMED_STEPS: usize = 8;

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Loads new runs and answers requests.
    pub(crate) fn answer_requests(&mut self) -> Result<(), EngineError> {
        if let (Scope::All { .. }, None) = (self.options.scope, &self.stopping) {
            for run in self.store.reader().pending_runs()? {
                // An unreadable request was reported already.
                let _ = self.load_readable(run)?;
            }
        }
        for RequestRow { id, asked } in self.store.reader().pending_requests()? {
            // The answer waits for the next commit; another byte has woken this engine.
            if self.pending.answers.iter().any(|answer| answer.id == id) {
                continue;
            }
            let refusal = match asked {
                Ok((run, request)) => match self.load_readable(run)? {
                    Ok(()) => self.answer(run, request).err(),
                    Err(why) => Some(why),
                },
                Err(why) => Some(format!("the request cannot be read: {why}")),
            };
            self.pending.answers.push(Answer { id, refusal });
        }
        Ok(())
    }

    /// Loads the schedules. Only a worker serves them.
    pub(crate) fn load_schedules(&mut self) -> Result<(), EngineError> {
        if !matches!(self.options.scope, Scope::All { .. }) {
            return Ok(());
        }
        self.schedules.load(self.store.reader(), self.observer)
    }

    pub(crate) fn fire_schedules(&mut self) -> Result<(), EngineError> {
        if self.stopping.is_some() {
            return Ok(());
        }
        let (clock, now) = (&self.clock, self.clock.wall());
        for run in self.schedules.fire(&mut self.store, now, || RunId(clock.new_id()))? {
            // An unreadable run was reported already.
            let _ = self.load_readable(run)?;
        }
        Ok(())
    }

    /// Loads a run like [`Engine::load`], but sets a run with unreadable rows aside and returns the reason.
    pub(crate) fn load_readable(&mut self, run: RunId) -> Result<Result<(), String>, EngineError> {
        if let Some(why) = self.set_aside.get(&run) {
            return Ok(Err(why.clone()));
        }
        match self.load(run) {
            Ok(()) => Ok(Ok(())),
            Err(EngineError::Store(error)) if error.concerns_one_run() => {
                Ok(Err(self.set_aside(run, &error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// Sets a broken run aside so that it does not delay the others. Reports it once.
    pub(crate) fn set_aside(&mut self, run: RunId, why: &str) -> String {
        if self.set_aside.insert(run, why.to_owned()).is_none() {
            self.observer.warn(&format!("run {run} is set aside: {why}; `stepwell db check` lists the damage"));
        }
        why.to_owned()
    }

    /// Loads a run unless it is already in memory.
    pub(crate) fn load(&mut self, run: RunId) -> Result<(), EngineError> {
        if !self.runs.contains_key(&run) {
            let mut loaded = Run::load(self.store.reader(), run)?;
            // The process that submitted the run used another clock.
            loaded.state.cap_pauses(self.clock.now());
            self.take_in(run, loaded);
        }
        Ok(())
    }

    /// Performs a request. The error is the reason for a refusal.
    fn answer(&mut self, run: RunId, request: Request) -> Result<(), String> {
        match request {
            Request::Cancel => self.handle(run, Command::Cancel),
            Request::Pause { reason } => {
                self.refuse_unless(run, |state| state.lifecycle != Lifecycle::Canceling, "it is being canceled")?;
                self.refuse_unless(run, |state| state.end.is_none(), "it has ended")?;
                self.handle(run, Command::Pause { cause: PauseCause::Person, reason });
            }
            Request::Resume => {
                self.refuse_unless(run, |state| state.lifecycle != Lifecycle::Canceling, "it is being canceled")?;
                self.refuse_to_go_on(run)?;
                self.handle(run, Command::Resume);
            }
            Request::Retry { step } => {
                if let Some(active) = self.runs.get(&run) {
                    to_retry(&active.state, step.as_ref())?;
                }
                self.refuse_to_go_on(run)?;
                self.handle(run, Command::Retry { step });
            }
            Request::Decide { step, verdict, approver, comment } => {
                self.refuse_unless_asked(run, &step)?;
                self.handle(run, Command::Decide { step, verdict, approver, comment });
            }
            Request::Signal { name, payload } => {
                self.refuse_unless_active(run)?;
                self.handle(run, Command::Signal { name, payload });
            }
            Request::RaiseBudget { to } => {
                self.refuse_unless(run, |state| state.end.is_none(), "it has ended")?;
                self.handle(run, Command::RaiseBudget { to });
                // The budget may be the run's first, so its account must be opened again.
                self.accounts.close(run);
                if let Some(active) = self.runs.get_mut(&run) {
                    active.accounted = false;
                }
            }
        }
        Ok(())
    }

    /// Returns an error with the reason if this engine cannot resume a run.
    fn refuse_to_go_on(&self, run: RunId) -> Result<(), String> {
        let Some(active) = self.runs.get(&run) else { return Ok(()) };
        match (&active.state.end, &self.options.scope) {
            (Some(RunEnd::Succeeded), _) => return Err("it has succeeded".to_owned()),
            (Some(RunEnd::Canceled), _) => return Err("it was canceled".to_owned()),
            (_, Scope::Run(other)) if !self.drives(run) => {
                return Err(format!("the engine that holds the state directory drives run {other} only"));
            }
            (Some(RunEnd::Failed { .. }), _) => {}
            (None, _) => return Ok(()),
        }
        // A failed run has released its name.
        match self.store.reader().active_run_named(&active.name, run).map_err(|error| error.to_string())? {
            Some(other) => Err(format!("run {other} has its name `{}` now", active.name)),
            None => Ok(()),
        }
    }

    fn refuse_unless_active(&self, run: RunId) -> Result<(), String> {
        let ended = self.runs.get(&run).is_none_or(|run| run.state.end.is_some() || run.state.is_canceling());
        if ended { Err("the run has ended or is being canceled".to_owned()) } else { Ok(()) }
    }

    fn refuse_unless_asked(&self, run: RunId, id: &StepId) -> Result<(), String> {
        self.refuse_unless_active(run)?;
        let state = self.runs.get(&run).map(|run| &run.state);
        let asked = |wait: &Wait| matches!(wait, Wait::Approval { .. });
        let mut waits = state.into_iter().flat_map(|state| state.waits());
        if let (Some(state), Some((step, _))) = (state, waits.find(|(step, wait)| step.id == *id && asked(wait))) {
            let late = state.is_too_late(step, self.clock.now());
            return if late { Err(format!("the time of step `{id}` is over")) } else { Ok(()) };
        }
        let waiting = state.into_iter().flat_map(|state| state.waits()).filter(|(_, wait)| asked(wait));
        let waiting: Vec<String> = waiting.take(NAMED_STEPS).map(|(step, _)| format!("`{}`", step.id)).collect();
        Err(match waiting.as_slice() {
            [] => format!("step `{id}` does not wait for a person, and no other step of this run does"),
            steps => format!("step `{id}` does not wait for a person; those that do: {}", steps.join(", ")),
        })
    }

    fn refuse_unless(&self, run: RunId, holds: impl Fn(&RunState) -> bool, why: &str) -> Result<(), String> {
        match self.runs.get(&run) {
            Some(active) if holds(&active.state) => Ok(()),
            _ => Err(why.to_owned()),
        }
    }
}
