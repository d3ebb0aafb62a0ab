//! The way into the state machine: one command in, committed events and effects out.

use jiff::Timestamp;

use super::apply::apply;
use super::command::{Command, Decision, Effect};
use super::decide::{consequence, decide};
use super::state::RunState;

impl RunState {
    /// Decides, applies the events, then applies their consequences until the state is settled. Afterwards
    /// the state matches the log that the caller commits.
    pub fn handle(&mut self, command: Command, now: Timestamp) -> Decision {
        let mut decision = decide(self, command, now);
        for event in &decision.events {
            apply(self, now, event);
        }
        for effect in &decision.effects {
            if let Effect::ExtendLease { step, fence, until } = effect {
                self.extend_lease(step, *fence, *until);
            }
        }
        while let Some(event) = consequence(self, now) {
            apply(self, now, &event);
            decision.events.push(event);
        }
        decision
    }
}
