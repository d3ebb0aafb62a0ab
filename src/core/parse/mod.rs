//! From the text of a workflow file to a checked [`WorkflowSpec`](super::spec::WorkflowSpec).

mod draft;
mod limits;
mod overrides;
mod policies;
#[cfg(test)]
mod tests;
mod workflow;

pub use crate::core::diagnostic::SpecErrors;
pub(crate) use draft::{Draft, StepDraft};
pub use workflow::workflow;
