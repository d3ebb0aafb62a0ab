//! Turns the text of a workflow file into a checked [`WorkflowSpec`](super::spec::WorkflowSpec).

mod children;
mod library;
mod overrides;
mod pinned;
mod place;
mod synonyms;
#[cfg(test)]
mod tests;
mod workflow;

pub use crate::diagnostic::SpecErrors;
pub use library::{Library, NoLibrary, Source};
pub use overrides::is_near_a_param;
pub use pinned::{known_arguments, pinned};
pub use place::Places;
pub use synonyms::{Meant, is_usual, meant};
pub use workflow::{child_workflow, params, workflow};
