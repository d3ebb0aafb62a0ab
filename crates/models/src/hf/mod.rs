//! Folders as Hugging Face `transformers` writes them.

mod architecture;
mod config;
mod folder;
mod generation;
mod names;
mod rope;
mod safetensors;
mod shards;

pub use folder::{file_names, read};
pub use names::name as tensor_name;
#[cfg(test)]
pub use rope::read as read_rope;
