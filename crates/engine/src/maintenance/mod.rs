//! Maintains a state: beside an engine, or without one.

pub(crate) mod choose;
pub(crate) mod clean_up;
mod content_in_use;
mod copy_artifacts;
mod copy_logs;
pub(crate) mod error;
pub(crate) mod plan;
mod provenance;
mod pruned_run;
pub(crate) mod requested;
pub(crate) mod sweep;

pub use choose::CleanUp;
pub use copy_artifacts::{back_up_artifacts, put_back_artifacts};
pub use copy_logs::{back_up_logs, put_back_logs};
pub use error::MaintenanceError;
pub use provenance::provenance;
pub use pruned_run::{Figure, PrunedRun};
pub use sweep::{Amount, Collected, Sweep};
