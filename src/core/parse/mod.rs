//! From the text of a workflow file to a checked [`WorkflowSpec`](super::spec::WorkflowSpec).

mod draft;
mod overrides;
mod pinned;
mod policies;
#[cfg(test)]
mod tests;
mod workflow;

pub use crate::core::diagnostic::SpecErrors;
pub(crate) use draft::{Draft, StepDraft};
pub use pinned::pinned;
pub use workflow::workflow;
