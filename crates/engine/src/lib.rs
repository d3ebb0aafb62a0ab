//! The imperative shell: one thread that receives everything through one inbox, decides with `stepwell_run`, commits with
//! `stepwell_store`, and only then acts.
//!
//! It knows no command line and prints nothing. Start reading at [`drive`]; `specs/engine.md` tells the story of a run.

mod accounts;
mod ask;
mod at_once;
mod attempts;
mod cancel;
mod children;
mod claim;
mod clock;
mod commit;
mod copy_artifacts;
mod crash_loop;
mod discard;
mod disk;
mod drive;
mod environment;
mod error;
pub mod executors;
mod gc;
mod hear;
#[cfg(test)]
mod history_tests;
mod inbox;
mod janitor;
mod judge;
pub mod log;
mod options;
mod perform;
mod provenance;
mod queue;
mod recovery;
mod requests;
mod rows;
mod run;
mod runs;
mod schedules;
#[cfg(test)]
mod simulation;
mod space;
mod stop;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timeout_tests;
mod timers;
mod tree_index;
#[cfg(test)]
mod waiting_tests;
mod wake;
pub mod worker;

pub use ask::{Asked, ask};
pub use attempts::EXIT_GRACE;
pub use cancel::{Canceled, cancel};
pub use copy_artifacts::{back_up_artifacts, put_back_artifacts};
pub use crash_loop::{admit, leave_safe_mode};
pub use drive::{drive, drive_locked};
pub use error::EngineError;
pub use gc::{Amount, Collected, Sweep, gc};
pub use options::{EngineOptions, Observer, Outcome, Quiet, Scope, SpaceWait, Start};
pub use provenance::provenance;
pub use rows::state_from_rows;
pub use schedules::{submit_scheduled, timetable};
pub use wake::wake;
