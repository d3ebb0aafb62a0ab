//! Where events of machines are kept. The program has them in its database.

use std::error::Error;
use std::io;

use jiff::Timestamp;

use crate::event::Event;
use crate::machine::State;
use crate::plan::Key;

pub trait Journal {
    /// Adds an event after exactly `version` others; durable on return.
    ///
    /// # Errors
    /// `Stale` when the machine has more events by now.
    fn append(
        &mut self,
        key: &Key,
        version: u64,
        state: &State,
        event: &Event,
        at: Timestamp,
    ) -> Result<(), JournalError>;
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another process has changed `{0}` in the meantime")]
    Stale(Key),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(Box<dyn Error + Send + Sync>),
}
