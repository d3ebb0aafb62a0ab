//! What survives an attempt: answers, what they can be used for again, and the state of the batch.

mod commits;
mod in_flight;
mod reuse;
mod segment;
mod standing;

pub(super) use commits::Commits;
pub(super) use in_flight::{Death, InFlight};
pub(super) use reuse::{Reuse, folder, share};
pub(super) use segment::{Entry, Kind, Outcome, Segment};
pub(super) use standing::Standing;
