//! Trains a model: one optimizer step after another, until the plan is complete or the host asks to stop.

mod background_job;
mod cadence;
pub mod checkpoint;
pub mod guard;
mod host;
pub mod phase;
pub mod plan;
pub mod ramp;
pub mod schedule;
mod trainer;
mod watch;

pub use host::{Finished, TrainError, TrainingHost};
pub use trainer::{TokenWeights, Trainer};
pub use watch::{Best, Standing, StopWhen, Validated, Validation, Watch, WatchedWeights, Writer, Writing};
