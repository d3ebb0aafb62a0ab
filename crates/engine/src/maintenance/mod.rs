//! Maintains a state without an engine.

mod clean_up;
mod content_in_use;
mod copy_artifacts;
mod copy_logs;
mod error;
mod provenance;
mod pruned_run;

pub use clean_up::{Amount, Collected, Sweep, gc, remove_runs};
pub use copy_artifacts::{back_up_artifacts, put_back_artifacts};
pub use copy_logs::{back_up_logs, put_back_logs};
pub use error::MaintenanceError;
pub use provenance::provenance;
pub use pruned_run::{Figure, PrunedRun};
