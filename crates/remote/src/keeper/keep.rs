//! Commits the events of a machine.

use super::journal::Journal;
use super::limits::Limits;
use crate::clock::Clock;
use crate::error::RemoteError;
use crate::event::Event;
use crate::machine::Machine;
use crate::provider::Provider;
use stepwell_base::faults::around;

/// Works on one machine at a time. The caller holds the `MachineLock` of that machine.
pub struct Keeper<'a> {
    pub provider: &'a dyn Provider,
    pub journal: &'a mut dyn Journal,
    pub clock: &'a dyn Clock,
    pub limits: Limits,
    /// Hears what happens, for people.
    pub tell: &'a mut dyn FnMut(&str),
}

impl Keeper<'_> {
    /// Commits an event, then applies it.
    ///
    /// # Errors
    /// `Illegal` when it cannot follow, `Journal` when another process was faster or the database failed.
    pub fn record(&mut self, machine: &mut Machine, event: Event) -> Result<(), RemoteError> {
        let mut next = machine.clone();
        let illegal = |source| RemoteError::Illegal { key: machine.plan.key.clone(), source };
        next.apply(&event).map_err(illegal)?;
        let (key, now) = (&machine.plan.key, self.clock.now());
        around!("remote.record", self.journal.append(key, machine.version, &next.state, &event, now))?;
        *machine = next;
        Ok(())
    }
}
