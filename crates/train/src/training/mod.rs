//! Trains a model: one optimizer step after another, until the plan is complete or the host asks to stop.

mod background_job;
mod cadence;
pub mod checkpoint;
pub mod guard;
mod host;
mod micro_batch;
pub mod phase;
pub mod plan;
pub mod preference;
pub mod ramp;
pub mod schedule;
mod trainer;
mod watch;

pub use host::{Finished, TrainError, TrainingHost};
pub use micro_batch::TokenWeights;
pub use trainer::Trainer;
pub use watch::{Best, Standing, StopWhen, Validated, Validation, Watch, WatchedWeights, Writer, Writing};
