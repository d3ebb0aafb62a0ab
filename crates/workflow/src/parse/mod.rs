//! Turns the text of a workflow file into a checked [`WorkflowSpec`](super::spec::WorkflowSpec).

mod draft;
mod library;
mod limits;
mod overrides;
mod pinned;
mod policies;
mod secrets;
#[cfg(test)]
mod tests;
mod workflow;

pub use crate::diagnostic::SpecErrors;
pub(crate) use draft::{Draft, StepDraft};
pub(crate) use library::Nesting;
pub use library::{Library, NoLibrary, Source};
pub use overrides::is_near_a_param;
pub(crate) use overrides::{known_param, set as set_param};
pub use pinned::pinned;
pub(crate) use workflow::checked;
pub use workflow::{child_workflow, params, workflow};
