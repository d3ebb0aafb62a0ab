//! The imperative shell: one thread that hears everything through one inbox, decides with `core`,
//! commits with `store`, and only then acts. The story of a run is in `specs/engine.md`.

mod ask;
mod attempts;
mod cancel;
mod claim;
mod commit;
mod discard;
mod disk;
mod drive;
mod error;
mod hear;
mod inbox;
mod options;
mod perform;
mod recovery;
mod requests;
mod rows;
mod run;
mod stop;
#[cfg(test)]
mod tests;
mod timers;
mod wake;

pub use ask::{Asked, ask};
pub use cancel::{Canceled, cancel};
pub use drive::drive;
pub use error::EngineError;
pub use options::{EngineOptions, Observer, Outcome, Quiet, Scope, Start};
pub use rows::state_from_rows;
pub use wake::wake;
