//! `config.json`: sizes and variants of a model.

use serde_json::Value;

use crate::error::{Problem, shown};
use crate::shape::{Shape, limits};
use crate::source::Fields;

use super::architecture::Architecture;
use super::rope;

/// Fields that change what a model computes, with the values that change nothing. A model with another value would
/// give wrong answers.
const NEUTRAL: [(&str, &[&str]); 12] = [
    ("hidden_act", &["\"silu\"", "\"swish\""]),
    ("hidden_activation", &["\"silu\""]),
    ("partial_rotary_factor", &["1.0", "1"]),
    ("embedding_multiplier", &["1.0", "1"]),
    ("residual_multiplier", &["1.0", "1"]),
    ("attention_multiplier", &[]),
    ("logits_scaling", &["1.0", "1"]),
    ("logit_scale", &["1.0", "1"]),
    ("final_logit_softcapping", &[]),
    ("attn_logit_softcapping", &[]),
    ("num_local_experts", &["0", "1"]),
    ("num_experts", &["0", "1"]),
];

/// Fields that are read, here or beside it.
const READ: [&str; 29] = [
    "architectures",
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "original_max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "attention_bias",
    "mlp_bias",
    "tie_word_embeddings",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "layer_types",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "quantization_config",
    "compression_config",
    "stepwell",
    "rope_interleaved",
];

/// Fields that do not change what a model computes: training, caches, versions, tensor-parallel training.
const IGNORED: [&str; 34] = [
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "attention_dropout",
    "attn_implementation",
    "chunk_size_feed_forward",
    "dtype",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "label2id",
    "output_attentions",
    "output_hidden_states",
    "pretraining_tp",
    "problem_type",
    "return_dict",
    "rope_scaling_type",
    "torch_dtype",
    "transformers_version",
    "transformers.js_config",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
    "use_mrope",
    "unk_token_id",
    "sep_token_id",
    "tokenizer_class",
    "keys_to_ignore_at_inference",
    "generation_config",
    "hidden_dropout",
    "cross_attention_hidden_size",
    "add_cross_attention",
];

/// Returns the shape, and the names of fields that are not known.
///
/// # Errors
/// Every reason why the model cannot be computed exactly.
pub fn shape(config: &Fields<'_>) -> Result<(Shape, Vec<String>), Problem> {
    // Quantisation first: such folders fail in other, less helpful ways, too.
    for name in ["quantization_config", "compression_config"] {
        if let Some(quantised) = config.object(name)? {
            let method = quantised.text("quant_method")?.unwrap_or("an unnamed method");
            return Err(Problem::Quantised(shown(method)));
        }
    }
    let architecture = Architecture::of(config)?;
    refuse_variants(config)?;
    let hidden = config.required("hidden_size", 1..=limits::HIDDEN)?;
    let layers = config.required("num_hidden_layers", 1..=limits::LAYERS)?;
    let heads = config.required("num_attention_heads", 1..=limits::HEADS)?;
    let context = config.required("max_position_embeddings", 1..=limits::CONTEXT)?;
    let default_kv_heads = if architecture == Architecture::Mistral { 8 } else { heads };
    let head_dim = match (config.count("head_dim", 2..=limits::HEAD_DIM)?, architecture) {
        (Some(head_dim), _) => head_dim,
        (None, Architecture::Qwen3) => 128,
        (None, _) if hidden.is_multiple_of(heads) => hidden / heads,
        (None, _) => return Err(config.problem("hidden_size", "is not a multiple of `num_attention_heads`")),
    };
    let flag = |name: &str| config.flag(name).map(|flag| flag.unwrap_or(false));
    let attention_bias = flag("attention_bias")?;
    let (qkv_bias, output_bias, mlp_bias) = match architecture {
        Architecture::Llama => (attention_bias, attention_bias, flag("mlp_bias")?),
        Architecture::Qwen3 => (attention_bias, attention_bias, false),
        Architecture::Qwen2 => (true, false, false),
        Architecture::Mistral => (false, false, false),
    };
    let shape = Shape {
        vocab: config.required("vocab_size", 1..=limits::VOCAB)?,
        hidden,
        layers,
        heads,
        kv_heads: config.count("num_key_value_heads", 1..=limits::HEADS)?.unwrap_or(default_kv_heads),
        head_dim,
        ffn: config.required("intermediate_size", 1..=limits::FFN)?,
        context,
        norm_eps: config.number("rms_norm_eps", 0.0)?.unwrap_or(1e-6) as f32,
        rope: rope::read(config, head_dim, context)?,
        qkv_bias,
        output_bias,
        mlp_bias,
        qk_norm: architecture == Architecture::Qwen3,
        tied: flag("tie_word_embeddings")?,
        windows: windows(config, architecture, layers)?,
    };
    shape.check()?;
    Ok((shape, unknown(config)))
}

/// Refuses what other architectures have under the same class name.
fn refuse_variants(config: &Fields<'_>) -> Result<(), Problem> {
    for (name, neutral) in NEUTRAL {
        if let Some(value) = config.get(name) {
            let value = value.to_string();
            if !neutral.contains(&value.as_str()) {
                let only = match neutral.first() {
                    Some(only) => format!("is {}; only {only} is known", shown(&value)),
                    None => format!("is {}; models with it are not known", shown(&value)),
                };
                return Err(config.problem(name, only));
            }
        }
    }
    Ok(())
}

fn unknown(config: &Fields<'_>) -> Vec<String> {
    let known = |name: &&str| {
        READ.contains(name) || IGNORED.contains(name) || NEUTRAL.iter().any(|(neutral, _)| neutral == name)
    };
    config.names().filter(|name| !known(name)).map(shown).collect()
}

/// The sliding window of each layer.
fn windows(config: &Fields<'_>, architecture: Architecture, layers: usize) -> Result<Vec<Option<usize>>, Problem> {
    let window = config.count("sliding_window", 1..=limits::CONTEXT)?;
    let used = config.flag("use_sliding_window")?;
    let types = layer_types(config, layers)?;
    let window = match architecture {
        Architecture::Llama => match window {
            Some(_) if used != Some(false) => {
                return Err(config.problem("sliding_window", "is set, and `LlamaForCausalLM` has no sliding window"));
            }
            _ => None,
        },
        // Before Mistral's own class had the switch, other tools wrote it.
        Architecture::Mistral => window.filter(|_| used != Some(false)),
        Architecture::Qwen2 | Architecture::Qwen3 if used == Some(true) => Some(window.unwrap_or(4096)),
        Architecture::Qwen2 | Architecture::Qwen3 => None,
    };
    let from = match architecture {
        Architecture::Qwen2 | Architecture::Qwen3 => config.count("max_window_layers", 0..=usize::MAX)?.unwrap_or(28),
        Architecture::Llama | Architecture::Mistral => 0,
    };
    match types {
        None => Ok((0..layers).map(|layer| window.filter(|_| layer >= from)).collect()),
        Some(types) if window.is_none() && types.contains(&LayerType::Sliding) => {
            Err(config.problem("layer_types", "has `sliding_attention`, and there is no `sliding_window` in use"))
        }
        Some(types)
            if architecture == Architecture::Mistral && window.is_some() && types.contains(&LayerType::Full) =>
        {
            Err(config.problem("layer_types", "has `full_attention`, and `MistralForCausalLM` has one window for all"))
        }
        Some(types) => Ok(types.into_iter().map(|kind| window.filter(|_| kind == LayerType::Sliding)).collect()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LayerType {
    Full,
    Sliding,
}

fn layer_types(config: &Fields<'_>, layers: usize) -> Result<Option<Vec<LayerType>>, Problem> {
    let Some(value) = config.get("layer_types") else { return Ok(None) };
    let list = value.as_array().filter(|list| list.len() == layers);
    let list = list.ok_or_else(|| config.problem("layer_types", format!("must be a list of {layers} names")))?;
    let kind = |name: &Value| match name.as_str() {
        Some("full_attention") => Ok(LayerType::Full),
        Some("sliding_attention") => Ok(LayerType::Sliding),
        _ => Err(config.problem("layer_types", format!("has {}, which is not known", shown(&name.to_string())))),
    };
    list.iter().map(kind).collect::<Result<_, _>>().map(Some)
}
