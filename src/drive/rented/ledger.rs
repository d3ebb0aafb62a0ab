//! The log of rented machines in the state database.

use jiff::Timestamp;

use crate::error::CliError;
use stepwell_base::json::{Limit, parse};
use stepwell_remote::{Event, Journal, JournalError, Key, Machine, Plan, State};
use stepwell_store::{MachineRow, NewMachine, Reader, Store, StoreError};

pub struct Ledger {
    store: Store,
}

impl Ledger {
    pub fn new(store: Store) -> Ledger {
        Ledger { store }
    }

    pub fn reader(&self) -> &Reader {
        self.store.reader()
    }

    /// Commits a plan.
    pub fn plan(&mut self, plan: &Plan, at: Timestamp) -> Result<(), CliError> {
        let event = text(&Event::Planned { plan: Box::new(plan.clone()) })?;
        let new = NewMachine {
            key: plan.key.as_str(),
            digest: &plan.digest(),
            provider: &plan.provider,
            state: State::Planned.as_str(),
            at,
            event: &event,
        };
        Ok(self.store.add_machine(&new)?)
    }

    /// The machine of a row, from its events.
    pub fn machine(&self, row: &MachineRow) -> Result<Machine, CliError> {
        let damaged = |what: String| StoreError::Undecodable { what: format!("machine `{}`: {what}", row.key) };
        let mut events: Vec<Event> = Vec::new();
        for stored in self.reader().machine_events(&row.key)? {
            let event = parse(stored.event.as_bytes(), Limit::STORED);
            events.push(event.map_err(|error| damaged(format!("event {}: {error}", stored.version)))?);
        }
        let machine = Machine::replay(&events).map_err(|error| damaged(error.to_string()))?;
        let machine = machine.ok_or_else(|| damaged("it has no events".to_owned()))?;
        // The row is a projection for an index.
        if (machine.version, machine.state.as_str()) != (row.version, row.state.as_str()) {
            return Err(damaged("its row is not what its events say".to_owned()).into());
        }
        Ok(machine)
    }
}

impl Journal for Ledger {
    fn append(
        &mut self,
        key: &Key,
        version: u64,
        state: &State,
        event: &Event,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let event = serde_json::to_string(event).map_err(|error| JournalError::Store(error.into()))?;
        let added = self.store.add_machine_event(key.as_str(), version, (state.as_str(), &event), at);
        match added {
            Ok(true) => Ok(()),
            Ok(false) => Err(JournalError::Stale(key.clone())),
            Err(error) => Err(JournalError::Store(error.into())),
        }
    }
}

fn text(event: &Event) -> Result<String, CliError> {
    serde_json::to_string(event).map_err(|error| CliError::internal("write an event", error))
}
