//! The architectures, and what a configuration leaves out for each of them.

use serde_json::Value;

use crate::error::{Problem, shown};
use crate::source::Fields;

/// A class of `transformers`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Architecture {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
}

impl Architecture {
    const ALL: [(Architecture, &'static str, &'static str); 4] = [
        (Architecture::Llama, "LlamaForCausalLM", "llama"),
        (Architecture::Mistral, "MistralForCausalLM", "mistral"),
        (Architecture::Qwen2, "Qwen2ForCausalLM", "qwen2"),
        (Architecture::Qwen3, "Qwen3ForCausalLM", "qwen3"),
    ];

    /// Reads `architectures`, or `model_type` where it is missing.
    ///
    /// # Errors
    /// `Architecture` for an unknown one, `Field` when there is neither or they contradict each other.
    pub fn of(config: &Fields<'_>) -> Result<Architecture, Problem> {
        let by_type = match config.text("model_type")? {
            Some(name) => {
                let found = Self::ALL.into_iter().find(|(_, _, model_type)| *model_type == name);
                Some(found.ok_or_else(|| Problem::Architecture(shown(name)))?.0)
            }
            None => None,
        };
        let by_class = match config.get("architectures") {
            None => None,
            Some(Value::Array(list)) if list.len() == 1 => {
                let name = list[0].as_str().unwrap_or_default();
                let found = Self::ALL.into_iter().find(|(_, class, _)| *class == name);
                Some(found.ok_or_else(|| Problem::Architecture(shown(name)))?.0)
            }
            Some(_) => return Err(config.problem("architectures", "must be a list of one name")),
        };
        match (by_class, by_type) {
            (Some(class), Some(model_type)) if class != model_type => {
                Err(config.problem("architectures", "is not the class of `model_type`"))
            }
            (Some(found), _) | (None, Some(found)) => Ok(found),
            (None, None) => Err(missing(config)),
        }
    }
}

/// Our own trained models carry their shape under `stepwell`; without a class they have only that.
fn missing(config: &Fields<'_>) -> Problem {
    if config.get("stepwell").is_some() {
        let why = "is missing: this model was trained here with a feed-forward network without a gate, \
                   which no known architecture has";
        return config.problem("architectures", why);
    }
    config.problem("architectures", "is missing, and `model_type` too")
}
