//! Files that a command names: where they are, and their digests for the step's key.

mod inputs;
mod left_behind;
mod named_files;
mod project;
mod project_files;
mod unchanged;

pub(super) use inputs::fingerprint;
pub(super) use left_behind::note_of;
pub(super) use named_files::{LARGEST, covers, holds_output, named, resolve};
pub(super) use project::PROJECT_DIR;
pub(crate) use project::Project;
pub use project_files::ProjectFiles;
pub(super) use unchanged::Unchanged;
