//! Why a model was refused.

use std::io;

use stepwell_base::json::JsonError;

use crate::tensor::Stored;

/// Architectures that can be read, as `config.json` names them.
pub const ARCHITECTURES: &str = "`LlamaForCausalLM`, `MistralForCausalLM`, `Qwen2ForCausalLM`, `Qwen3ForCausalLM`";

/// A file of a model and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ModelError {
    /// Name of the file within the model.
    pub file: String,
    #[source]
    pub problem: Problem,
}

/// A fault in a file of a model. Names from the file are cut to `NAME_SHOWN` characters.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("it cannot be read")]
    Io(#[source] io::Error),
    #[error("it is missing")]
    Missing,
    #[error("{0}")]
    Json(#[from] JsonError),
    #[error("{what} is {found}, and at most {limit} is read")]
    TooLarge { what: &'static str, found: u64, limit: u64 },
    #[error("`{field}` {why}")]
    Field { field: String, why: String },
    #[error("architecture `{0}` is not known; known are {ARCHITECTURES}")]
    Architecture(String),
    #[error("rope type `{0}` is not known; known are `default`, `linear`, `dynamic`, `llama3`, `yarn` and `longrope`")]
    RopeType(String),
    #[error("the weights are quantised with `{0}`, which is not known")]
    Quantised(String),
    #[error("{0}")]
    Damaged(String),
    #[error("it names the file `{0}`, which is not a plain name")]
    FileName(String),
    #[error("tensor `{0}` is missing")]
    MissingTensor(String),
    #[error("tensor `{first}` is not part of this architecture{}", and_more(*more))]
    UnknownTensor { first: String, more: usize },
    #[error("tensor `{name}` has the shape {found:?} instead of {expected:?}")]
    TensorShape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor `{name}` has the element type `{found}`; known are {known}", known = Stored::KNOWN)]
    ElementType { name: String, found: String },
    #[error("`lm_head.weight` differs from the embedding, although `tie_word_embeddings` says that they are one")]
    TiedButDifferent,
    #[error("the tokenizer cannot be read: {0}")]
    Tokenizer(String),
    #[error("the text cannot be encoded: {0}")]
    Encoding(String),
    #[error("the token {0:?} is partly answer and partly prompt")]
    Boundary(String),
    #[error("the chat template failed: {0}")]
    Template(String),
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more)") }
}

/// Characters of a name from a file that a message repeats.
const NAME_SHOWN: usize = 120;

/// Cuts a name from a file for a message.
pub fn shown(name: &str) -> String {
    match name.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}

impl Problem {
    /// Attaches the file.
    pub fn in_file(self, file: impl Into<String>) -> ModelError {
        ModelError { file: file.into(), problem: self }
    }

    pub fn field(field: impl Into<String>, why: impl Into<String>) -> Problem {
        Problem::Field { field: field.into(), why: why.into() }
    }
}

impl ModelError {
    /// Says how to get a model that can be read.
    pub fn hint(&self) -> &'static str {
        match &self.problem {
            Problem::Io(_) | Problem::Missing => {
                "a model is a folder with config.json, tokenizer.json and *.safetensors, or one .gguf file"
            }
            Problem::Quantised(_) | Problem::ElementType { .. } => {
                "export the model in f32, f16 or bf16, or as GGUF in one of the known types"
            }
            Problem::Architecture(_) | Problem::RopeType(_) | Problem::UnknownTensor { .. } => {
                "nothing of a model is ignored, because its answers would be wrong; only the named kinds can be used"
            }
            Problem::Template(_) | Problem::Encoding(_) => "check the messages against what the template accepts",
            _ => "download or export the model again, and compare the file with its source",
        }
    }
}
