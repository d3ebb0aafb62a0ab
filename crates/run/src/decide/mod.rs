//! Decisions as pure functions: state and command in, events and effects out.

mod answer;
mod consequence;
mod deadline;
mod resume;
mod wait;

pub use answer::decide;
pub use consequence::consequence;
pub use resume::to_retry;
pub use wait::child_failure;
