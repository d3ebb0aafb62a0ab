//! Ends a machine that a person has confirmed the end of.

use super::{Keeper, Look};
use crate::consent::{Action, Proposal};
use crate::error::RemoteError;
use crate::event::Event;
use crate::machine::{Machine, State};
use crate::provider::Phase;
use stepwell_base::error_chain::error_chain;
use stepwell_base::faults::around;

/// Questions after a request, before it is repeated: a provider may ignore one.
const POLLS: u32 = 3;
/// Questions while the provider says that the instance is stopping.
const STOPPING: u32 = 60;

impl Keeper<'_> {
    /// The proposal that `digest` confirms.
    ///
    /// # Errors
    /// `NotProposed`, `Expired`.
    pub fn confirmed(&self, machine: &Machine, action: Action, digest: &str) -> Result<Proposal, RemoteError> {
        let key = &machine.plan.key;
        let found = machine.proposal.as_ref().filter(|found| found.action == action && found.digest(key) == digest);
        let Some(proposal) = found else {
            return Err(RemoteError::NotProposed {
                key: key.clone(),
                action: action.as_str(),
                digest: digest.to_owned(),
            });
        };
        if self.clock.now() >= proposal.expires_at {
            return Err(RemoteError::Expired { digest: digest.to_owned(), at: proposal.expires_at });
        }
        Ok(proposal.clone())
    }

    /// Ends an instance under a confirmed digest, and waits until the provider has said twice that it is gone. A machine
    /// that is terminating already needs no digest: its end was confirmed.
    ///
    /// # Errors
    /// `Illegal` without a confirmation, and `StillThere`.
    pub fn terminate(&mut self, machine: &mut Machine, digest: &str) -> Result<(), RemoteError> {
        if !matches!(machine.state, State::Terminating { .. }) {
            self.record(machine, Event::TerminateIntended { digest: digest.to_owned() })?;
        }
        let Some(instance) = machine.instance.clone() else { return Ok(()) };
        for _ in 0..self.limits.requests {
            let error = around!("remote.terminate", self.provider.terminate(&instance)).err();
            let error = error.map(|error| error_chain(&error));
            if let Some(why) = &error {
                (self.tell)(&format!("the request to terminate failed ({why}): asking for the state"));
            }
            self.record(machine, Event::TerminateAnswered { error })?;
            if self.wait_until_gone(machine)? {
                return Ok(());
            }
            (self.tell)("the instance still exists: asking again for its end");
        }
        Err(RemoteError::StillThere { key: machine.plan.key.clone(), times: self.limits.requests })
    }

    fn wait_until_gone(&mut self, machine: &mut Machine) -> Result<bool, RemoteError> {
        let mut polls = 0;
        loop {
            let most = match self.look(machine)? {
                Look::Gone => return Ok(true),
                Look::Exists(Phase::Stopping) => STOPPING,
                Look::Exists(_) | Look::Unknown(_) => POLLS,
            };
            polls += 1;
            if polls >= most {
                return Ok(false);
            }
            self.clock.sleep(self.limits.poll);
        }
    }
}
