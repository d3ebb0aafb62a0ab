//! Sizes and variants of a model from the keys of its file.

use crate::error::{Problem, shown};
use crate::shape::{Part, Place, Shape, limits};

use super::metadata::{Metadata, Value};
use super::rope;

/// Architectures as llama.cpp names them. Mistral's models are `llama` there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Llama,
    Qwen2,
    Qwen3,
}

impl Family {
    /// # Errors
    /// `Architecture`, or `Field` when it is missing.
    pub fn of(metadata: &Metadata<'_>) -> Result<Family, Problem> {
        let key = "general.architecture";
        match metadata.text(key)?.ok_or_else(|| Problem::field(key, "is missing"))? {
            "llama" => Ok(Family::Llama),
            "qwen2" => Ok(Family::Qwen2),
            "qwen3" => Ok(Family::Qwen3),
            other => Err(Problem::Architecture(shown(other))),
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Family::Llama => "llama",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
        }
    }
}

/// Keys of an architecture that are read. Any other one may change what a model computes.
const READ: [&str; 20] = [
    "vocab_size",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.causal",
    "rope.freq_base",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
    "rope.scaling.finetuned",
    "expert_count",
];

/// # Errors
/// `Field` for a key that is missing, not known, or outside of its range.
pub fn shape(
    metadata: &Metadata<'_>,
    family: Family,
    vocab: usize,
    has: impl Fn(Place) -> bool,
) -> Result<Shape, Problem> {
    let prefix = family.prefix();
    let key = |name: &str| format!("{prefix}.{name}");
    let own = |name: &&str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    if let Some(unknown) = metadata.keys().filter(own).find(|name| !READ.contains(&&name[prefix.len() + 1..])) {
        return Err(Problem::field(shown(unknown), "is not known"));
    }
    if metadata.count(&key("expert_count"), 0, usize::MAX)?.is_some_and(|experts| experts > 0) {
        return Err(Problem::field(key("expert_count"), "is not zero; models with experts are not known"));
    }
    if metadata.get(&key("attention.causal")) == Some(&Value::Bool(false)) {
        return Err(Problem::field(key("attention.causal"), "is false; models that read both ways are not known"));
    }
    if vocab > limits::VOCAB {
        return Err(Problem::TooLarge { what: "the vocabulary", found: vocab as u64, limit: limits::VOCAB as u64 });
    }
    let hidden = metadata.required(&key("embedding_length"), 1, limits::HIDDEN)?;
    let layers = metadata.required(&key("block_count"), 1, limits::LAYERS)?;
    let heads = metadata.required(&key("attention.head_count"), 1, limits::HEADS)?;
    let context = metadata.required(&key("context_length"), 1, limits::CONTEXT)?;
    let head_dim = metadata.count(&key("attention.key_length"), 2, limits::HEAD_DIM)?.unwrap_or(hidden / heads);
    if metadata.count(&key("attention.value_length"), 0, usize::MAX)?.is_some_and(|length| length != head_dim) {
        return Err(Problem::field(key("attention.value_length"), "differs from `attention.key_length`"));
    }
    let window = metadata.count(&key("attention.sliding_window"), 0, limits::CONTEXT)?.filter(|window| *window > 0);
    let first = |part: Part| has(Place::Layer(0, part));
    let shape = Shape {
        vocab,
        hidden,
        layers,
        heads,
        kv_heads: metadata.count(&key("attention.head_count_kv"), 1, limits::HEADS)?.unwrap_or(heads),
        head_dim,
        ffn: metadata.required(&key("feed_forward_length"), 1, limits::FFN)?,
        context,
        norm_eps: metadata.number(&key("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-6) as f32,
        rope: rope::read(metadata, prefix, head_dim, context)?,
        qkv_bias: first(Part::QueryBias),
        output_bias: first(Part::OutputBias),
        mlp_bias: first(Part::GateBias),
        qk_norm: family == Family::Qwen3,
        tied: !has(Place::Head),
        windows: vec![window; layers],
    };
    shape.check()?;
    Ok(shape)
}
