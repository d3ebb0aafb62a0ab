//! Models from elsewhere: their files, shapes, tokenizers and chat templates.
//!
//! Everything here was written by a stranger: sizes are bounded, and what is not understood is refused by name. Start
//! reading at [`Model::open`].

mod chat;
mod error;
mod gguf;
mod hf;
mod model;
mod shape;
mod source;
mod special;
mod tensor;
#[cfg(test)]
mod tests;
mod tokenizer;

pub use chat::{ChatTemplate, Conversation, GenerationPrompt, Rendered, parse_tool_arguments};
pub use error::{ModelError, Problem};
pub use gguf::{GgufType, WriteError};
pub use hf::tensor_name;
pub use model::Model;
pub use shape::{Ends, Part, Place, Rope, RopeKind, Shape};
pub use source::ModelFiles;
pub use special::{GenerationDefaults, SpecialTokens};
pub use tensor::{Stored, Tensor};
pub use tokenizer::{Example, TokenStream, Tokenizer};
