//! Arguments that name a base model.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::infer::{Dtype, Source};
use stepwell_base::artifact::ArtifactRef;
use stepwell_constitution::BosPolicy;

/// Model and how it is asked.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseArguments {
    /// Output of a step that gives a model, or the path of a Hugging Face folder or of a GGUF file.
    pub model: Source,
    /// Tokenizer of a model that has none in its files, such as the output of `train`.
    #[serde(default)]
    pub tokenizer: Option<ArtifactRef>,
    /// Type in which the weights are kept and multiplied.
    #[serde(default)]
    pub dtype: Dtype,
    /// Number of requests that are computed at once.
    #[serde(default = "concurrency")]
    pub concurrency: NonZeroU64,
    /// Token that starts a prompt: `none`, or `model` for the BOS token of the model.
    #[serde(default)]
    pub bos: BosPolicy,
    /// Reason to let a model with a chat template pass as a base model; every record has it. Without one such a model is refused.
    #[serde(default)]
    pub accept_chat_tuned: String,
}

fn concurrency() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(15)
}
