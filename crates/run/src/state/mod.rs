//! The state of one run in memory.

mod classes;
mod deadlines;
mod restore;
mod run_state;
mod step;

pub use classes::ClassIndex;
#[cfg(test)]
pub(crate) use deadlines::Deadlines;
pub use restore::Restored;
pub use run_state::{Lifecycle, RunEnd, RunState, Signal};
pub use step::{ChildSteps, Lease, Step, StepIndex, StepState};
