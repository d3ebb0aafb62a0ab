//! What other processes have asked for in the database.

use crate::core::decide::Command;
use crate::core::ids::RunId;
use crate::core::request::Request;
use crate::core::state::{Lifecycle, RunState};
use crate::core::status::RunStatus;
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
    pub(super) fn load(&mut self, run: RunId) -> Result<(), EngineError> {
        if !self.runs.contains_key(&run) {
            let loaded = Run::load(&self.store, run)?;
            self.runs.insert(run, loaded);
        }
        Ok(())
    }

    /// The error says why nothing is done.
    fn answer(&mut self, run: RunId, request: Request) -> Result<(), String> {
        match request {
            Request::Cancel => self.handle(run, Command::Cancel),
            Request::Pause { reason } => {
                self.refuse_unless(run, |state| state.lifecycle != Lifecycle::Canceling, "it is being canceled")?;
                self.handle(run, Command::Pause { reason });
            }
            Request::Resume => {
                self.refuse_unless(run, |state| state.lifecycle != Lifecycle::Canceling, "it is being canceled")?;
                self.handle(run, Command::Resume);
            }
            Request::RaiseBudget { to } => {
                self.refuse_unless(run, |state| state.end.is_none(), "it has ended")?;
                self.handle(run, Command::RaiseBudget { to });
            }
            Request::Retry { .. } | Request::Decide { .. } | Request::Signal { .. } => {
                return Err(format!("this build cannot answer `{}`", request.kind()));
            }
        }
        Ok(())
    }

    fn refuse_unless(&self, run: RunId, holds: impl Fn(&RunState) -> bool, why: &str) -> Result<(), String> {
        match self.runs.get(&run) {
            Some(active) if holds(&active.state) => Ok(()),
            _ => Err(why.to_owned()),
        }
    }
}
