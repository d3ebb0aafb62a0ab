//! Moves a machine along: records what is intended, calls the provider, records the answer.

mod journal;
mod keep;
mod launch;
mod limits;
mod lock;
mod look;
mod terminate;
#[cfg(test)]
mod tests;

pub use journal::{Journal, JournalError};
pub use keep::Keeper;
pub use limits::Limits;
pub use lock::MachineLock;
pub use look::{Look, orphans};
