//! Submits, continues and drives runs for the verbs.

pub mod derive;
pub mod edited;
pub mod ending;
pub mod foreground;
mod git_state;
pub mod load_workflow;
pub mod look_ahead;
pub mod mistakes;
pub mod model_source;
pub mod new_schedule;
pub mod phases;
pub mod preview;
pub mod queue;
pub mod rented;
pub mod run_name;
pub mod shared_disk;
pub mod starter;
pub mod submission;
pub mod trial;
pub mod workflow_source;
