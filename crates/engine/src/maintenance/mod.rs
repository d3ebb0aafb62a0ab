//! Maintains a state without an engine.

mod copy_artifacts;
mod error;
mod gc;
mod provenance;

pub use copy_artifacts::{back_up_artifacts, put_back_artifacts};
pub use error::MaintenanceError;
pub use gc::{Amount, Collected, Sweep, gc};
pub use provenance::provenance;
