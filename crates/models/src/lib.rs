//! Models from elsewhere: their files, shapes, tokenizers and chat templates.
//!
//! Everything here was written by a stranger: sizes are bounded, and what is not understood is refused by name. Start
//! reading at [`Model::open`].

mod chat;
mod error;
mod hf;
mod model;
mod shape;
mod source;
mod tensor;
#[cfg(test)]
mod tests;
mod tokenizer;

pub use chat::{ChatTemplate, Conversation, GenerationPrompt, Rendered, parse_tool_arguments};
pub use error::{ModelError, Problem};
pub use model::{GenerationDefaults, Model, SpecialTokens};
pub use shape::{Ends, Part, Place, Rope, RopeKind, Shape};
pub use source::ModelFiles;
pub use tensor::{Stored, Tensor};
pub use tokenizer::{TokenStream, Tokenizer};
