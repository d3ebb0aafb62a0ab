//! A wrong name in place of a workflow, a text or a param, and what is meant.

mod file;
mod other_workflow;
mod place;

pub use file::{Shape, from_script, no_workflow, shape_of};
pub use other_workflow::with_param;
pub use place::Words;
