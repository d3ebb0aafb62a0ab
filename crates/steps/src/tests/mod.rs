//! Helpers for the tests of several step kinds, which run handlers against a real artifact store.

#[cfg(feature = "train")]
mod gives;
mod recorder;
mod step_lab;
#[cfg(feature = "train")]
mod training_lab;

pub use recorder::Recorder;
pub use step_lab::StepLab;
#[cfg(feature = "train")]
pub use training_lab::TrainingLab;
