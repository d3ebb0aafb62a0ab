//! A base model: a handle without a chat interface, and what it is asked.

mod arguments;
mod asking;
mod base_model;

pub use arguments::BaseArguments;
pub use asking::{Ask, Common, Told, Wanted, ask};
pub use base_model::BaseModel;
