//! Changes of the state. Every change is one transaction that is durable on return.

mod annotations;
mod answers;
mod claim_and_succeed;
pub(crate) mod commit;
mod machines;
mod measured;
mod project;
pub(crate) mod prune;
mod requests;
mod schedules;
mod served;
mod signals;
mod step_projection;
pub(crate) mod store;
pub(crate) mod submit;
pub(crate) mod tally;
mod tokens;
mod told;

pub use store::Store;
