//! `config.json`: the Hugging Face description of a model, with our own beside it.

use serde::{Deserialize, Serialize};

use super::config::{Ffn, ModelConfig};

/// Ids of the special tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpecialTokens {
    pub bos_token_id: u32,
    pub eos_token_id: u32,
    pub pad_token_id: u32,
}

/// The part of a trained model's `config.json` that Stepwell reads.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct SavedModel {
    /// The exact shape; the Hugging Face fields beside it say the same where they can express it.
    pub stepwell: ModelConfig,
    pub bos_token_id: u32,
    pub eos_token_id: u32,
    pub pad_token_id: u32,
}

/// A model without a counterpart in `transformers`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHfClass {
    #[error("a feed-forward network without a gate has no Hugging Face class: Llama and Qwen3 both have SwiGLU")]
    Ungated,
    #[error("a model with `logit_softcap` has no Hugging Face class: Llama and Qwen3 have no soft cap")]
    Softcap,
}

/// `config.json` in the form that `transformers` 4 and 5 read.
#[derive(Serialize)]
pub struct HfConfig {
    architectures: [&'static str; 1],
    model_type: &'static str,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    hidden_act: &'static str,
    max_position_embeddings: usize,
    initializer_range: f32,
    rms_norm_eps: f32,
    /// Read by `transformers` 4; version 5 reads `rope_parameters`.
    rope_theta: f32,
    rope_parameters: RopeParameters,
    attention_bias: bool,
    attention_dropout: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mlp_bias: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_sliding_window: Option<bool>,
    tie_word_embeddings: bool,
    torch_dtype: &'static str,
    use_cache: bool,
    #[serde(flatten)]
    special: SpecialTokens,
}

#[derive(Serialize)]
struct RopeParameters {
    rope_type: &'static str,
    rope_theta: f32,
}

impl HfConfig {
    /// Describes a Llama model, or a Qwen3 model when query and key heads are normalised.
    ///
    /// # Errors
    /// [`NoHfClass`] for a feed-forward network without a gate, and for a soft cap of the logits.
    pub fn new(config: &ModelConfig, special: SpecialTokens) -> Result<Self, NoHfClass> {
        let Ffn::SwiGlu { hidden } = config.ffn else { return Err(NoHfClass::Ungated) };
        if config.logit_softcap != 0.0 {
            return Err(NoHfClass::Softcap);
        }
        let (architecture, model_type) =
            if config.qk_norm { ("Qwen3ForCausalLM", "qwen3") } else { ("LlamaForCausalLM", "llama") };
        Ok(HfConfig {
            architectures: [architecture],
            model_type,
            vocab_size: config.vocab_size,
            hidden_size: config.d_model,
            intermediate_size: hidden,
            num_hidden_layers: config.layers,
            num_attention_heads: config.heads,
            num_key_value_heads: config.kv_heads,
            head_dim: config.head_dim,
            hidden_act: "silu",
            max_position_embeddings: config.context,
            initializer_range: config.init_std,
            rms_norm_eps: config.norm_eps,
            rope_theta: config.rope_theta,
            rope_parameters: RopeParameters { rope_type: "default", rope_theta: config.rope_theta },
            attention_bias: false,
            attention_dropout: 0.0,
            mlp_bias: (!config.qk_norm).then_some(false),
            use_sliding_window: config.qk_norm.then_some(false),
            tie_word_embeddings: true,
            torch_dtype: "float32",
            use_cache: true,
            special,
        })
    }

    pub fn architecture(&self) -> &'static str {
        self.architectures[0]
    }
}

/// `config.json` of a trained model: [`SavedModel`], and the Hugging Face fields if a class exists.
pub fn saved_model_json(config: &ModelConfig, special: SpecialTokens) -> Vec<u8> {
    #[derive(Serialize)]
    struct WithClass<'a> {
        #[serde(flatten)]
        hf: HfConfig,
        stepwell: &'a ModelConfig,
    }
    #[derive(Serialize)]
    struct WithoutClass<'a> {
        #[serde(flatten)]
        special: SpecialTokens,
        stepwell: &'a ModelConfig,
    }
    let json = match HfConfig::new(config, special) {
        Ok(hf) => serde_json::to_vec_pretty(&WithClass { hf, stepwell: config }),
        Err(_) => serde_json::to_vec_pretty(&WithoutClass { special, stepwell: config }),
    };
    json.expect("a configuration has string keys only")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: SpecialTokens = SpecialTokens { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };

    fn value(json: &[u8]) -> serde_json::Value {
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn a_plain_model_is_llama_and_qk_norm_is_qwen3() {
        let config = ModelConfig { kv_heads: 2, norm_eps: 1e-5, ..ModelConfig::preset("quickstart").unwrap() };
        let json = saved_model_json(&config, SPECIAL);
        let llama = value(&json);
        assert_eq!(llama["architectures"][0], "LlamaForCausalLM");
        assert_eq!((&llama["num_key_value_heads"], &llama["head_dim"]), (&2.into(), &32.into()));
        assert_eq!((&llama["bos_token_id"], &llama["eos_token_id"]), (&1.into(), &2.into()));
        assert_eq!(llama["tie_word_embeddings"], true);
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains("\"rms_norm_eps\": 0.00001,"), "no rounding noise: {text}");
        let qwen = value(&saved_model_json(&ModelConfig { qk_norm: true, ..config }, SPECIAL));
        assert_eq!(qwen["architectures"][0], "Qwen3ForCausalLM");
        assert!(qwen.get("mlp_bias").is_none());
    }

    #[test]
    fn every_model_reads_its_own_config_back() {
        for name in ModelConfig::PRESETS {
            let config = ModelConfig::preset(name).unwrap();
            let saved: SavedModel = serde_json::from_slice(&saved_model_json(&config, SPECIAL)).unwrap();
            assert_eq!((saved.stepwell, saved.pad_token_id), (config, 0));
        }
    }

    #[test]
    fn an_ungated_model_has_no_class() {
        let config = ModelConfig::preset("deep60-ungated").unwrap();
        assert_eq!(HfConfig::new(&config, SPECIAL).err(), Some(NoHfClass::Ungated));
        let capped = ModelConfig { logit_softcap: 30.0, ..ModelConfig::preset("tiny").unwrap() };
        assert_eq!(HfConfig::new(&capped, SPECIAL).err(), Some(NoHfClass::Softcap));
        assert!(value(&saved_model_json(&config, SPECIAL)).get("architectures").is_none());
    }
}
