//! The imperative shell: one thread that receives everything through one inbox, decides with `stepwell_run`, commits with
//! `stepwell_store`, and only then acts.
//!
//! It knows no command line and prints nothing. Start at [`drive`]; `specs/engine.md` tells the story of a run.

mod client;
mod clock;
mod engine;
mod error;
pub mod executors;
mod inbox;
pub mod log;
mod maintenance;
mod notifier;
mod options;
mod outbound;
mod rows;
mod signals;
#[cfg(test)]
mod simulation;
pub mod worker;

pub use client::{Asked, Canceled, ask, cancel, clean_up, wake};
pub use engine::recovery::crash_loop::{admit, leave_safe_mode};
pub use engine::scheduling::schedules::{submit_scheduled, timetable};
pub use engine::state::attempts::EXIT_GRACE;
pub use engine::{drive, drive_locked};
pub use error::EngineError;
pub use maintenance::{
    Amount, CleanUp, Collected, Figure, MaintenanceError, PrunedRun, Sweep, back_up_artifacts, back_up_logs,
    provenance, put_back_artifacts, put_back_logs,
};
pub use options::{EngineOptions, Observer, Outcome, Quiet, Scope, SpaceWait, Start};
pub use outbound::{Delivery, new_secret, redeliver, test as test_webhook};
pub use rows::state_from_rows;
pub use signals::stop_signals;
