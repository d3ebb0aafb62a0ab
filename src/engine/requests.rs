//! What other processes have asked for in the database.

use crate::core::decide::Command;
use crate::core::ids::RunId;
use crate::core::request::Request;
use crate::core::state::{Lifecycle, RunEnd};
use crate::core::status::RunStatus;
use crate::core::take_up::to_retry;
use crate::store::{Answer, RequestRow};

use super::drive::Engine;
use super::error::EngineError;
use super::options::Scope;
use super::run::Run;

impl Engine<'_> {
    /// Takes up new runs, and answers requests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn look_for_requests(&mut self) -> Result<(), EngineError> {
        if let (Scope::All { .. }, None) = (self.options.scope, &self.stopping) {
            for row in self.store.runs()? {
                if row.stored_status == RunStatus::Pending {
                    self.load(row.id)?;
                }
            }
        }
        for RequestRow { id, run, request } in self.store.pending_requests()? {
            self.load(run)?;
            let refusal = self.answer(run, request).err();
            self.pending.answers.push(Answer { id, refusal });
        }
        Ok(())
    }

    /// Makes sure that a run is in memory.
    fn load(&mut self, run: RunId) -> Result<(), EngineError> {
        if !self.runs.contains_key(&run) {
            let loaded = Run::load(&self.store, run)?;
            self.runs.insert(run, loaded);
            if !matches!(self.options.scope, Scope::All { .. }) {
                self.bystanders.insert(run);
            }
        }
        Ok(())
    }

    /// The error says why nothing is done.
    fn answer(&mut self, run: RunId, request: Request) -> Result<(), String> {
        match request {
            Request::Cancel => self.handle(run, Command::Cancel),
            Request::Pause { reason } => {
                self.refuse_unless(run, |lifecycle| lifecycle != Lifecycle::Canceling, "it is being canceled")?;
                if self.runs.get(&run).is_some_and(|run| run.state.end.is_some()) {
                    return Err("it has ended".to_owned());
                }
                self.handle(run, Command::Pause { reason });
            }
            Request::Resume => {
                self.refuse_unless(run, |lifecycle| lifecycle != Lifecycle::Canceling, "it is being canceled")?;
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
            Request::Decide { .. } | Request::Signal { .. } => {
                return Err(format!("this build cannot answer `{}`", request.kind()));
            }
        }
        Ok(())
    }

    /// Why this engine cannot go on with a run, if so.
    fn refuse_to_go_on(&self, run: RunId) -> Result<(), String> {
        let Some(active) = self.runs.get(&run) else { return Ok(()) };
        match (&active.state.end, &self.options.scope) {
            (Some(RunEnd::Succeeded), _) => return Err("it has succeeded".to_owned()),
            (Some(RunEnd::Canceled), _) => return Err("it was canceled".to_owned()),
            (_, Scope::Run(other)) if self.bystanders.contains(&run) => {
                return Err(format!("the engine that holds the state directory drives run {other} only"));
            }
            (Some(RunEnd::Failed { .. }), _) => {}
            (None, _) => return Ok(()),
        }
        // A failed run has given its name free.
        let rows = self.store.runs().map_err(|error| error.to_string())?;
        match rows.iter().find(|row| row.id != run && row.name == active.name && row.stored_status.is_active()) {
            Some(row) => Err(format!("run {} has its name `{}` now", row.id, row.name)),
            None => Ok(()),
        }
    }

    fn refuse_unless(&self, run: RunId, holds: impl Fn(Lifecycle) -> bool, why: &str) -> Result<(), String> {
        match self.runs.get(&run) {
            Some(active) if holds(active.state.lifecycle) => Ok(()),
            _ => Err(why.to_owned()),
        }
    }
}
