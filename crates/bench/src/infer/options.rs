//! Options of a measurement.

use std::path::PathBuf;

use super::library::Library;
use stepwell_inference::Dtype;

/// Options of `bench infer`.
#[derive(Clone, Debug)]
pub struct InferOptions {
    /// A model folder or GGUF file.
    pub model: PathBuf,
    /// Forms of our weights.
    pub dtypes: Vec<Dtype>,
    /// Numbers of prompts that are decoded together.
    pub batches: Vec<usize>,
    pub against: Vec<Library>,
    /// Interpreter that has the libraries.
    pub python: PathBuf,
    /// The model for llama.cpp; without it, it is written in q8_0.
    pub gguf: Option<PathBuf>,
    /// Tokens of each prompt, and of the long one.
    pub prompt: usize,
    pub long_prompt: usize,
    /// Tokens that are timed.
    pub new_tokens: usize,
    pub threads: usize,
    pub rounds: usize,
}
