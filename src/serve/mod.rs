//! What `stepwell serve` needs of the verbs: the desk that the server asks.

mod batches;
mod desk;
mod failed;
mod inference;
mod machine;
mod models;
mod submit;
mod workflows;

pub use desk::ProgramDesk;
pub use inference::InferenceOptions;
pub use models::ServedModel;
