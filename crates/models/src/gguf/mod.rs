//! GGUF, the one-file format of llama.cpp: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod header;
mod metadata;
mod names;
mod reader;
mod rope;
mod shape;
mod tokenizer;
mod tokenizer_json;
mod write;
mod write_tokenizer;

pub use header::read;
pub use write::{GgufType, WriteError};
