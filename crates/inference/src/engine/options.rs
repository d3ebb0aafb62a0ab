//! Settings of an engine.

use stepwell_models::Shape;

use super::error::EngineError;
use crate::cache::{BLOCK_TOKENS, BlockLayout};
use crate::cpu::Instructions;
use crate::kernels::{CacheForm, Dtype, HeadLayout};

/// Settings of an engine. None of them but `dtype` and `context` changes a bit of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    pub dtype: Dtype,
    /// Most sequences that are computed together.
    pub slots: usize,
    /// Most bytes of keys and values.
    pub cache_bytes: usize,
    /// Most bytes of them while several sequences run; one alone may take all of `cache_bytes`.
    pub shared_cache_bytes: usize,
    pub threads: usize,
    /// Most tokens of prompts that one step computes, besides one token of each running sequence.
    pub prefill_chunk: usize,
    /// Most tokens of a sequence; `None` for the model's context.
    pub context: Option<usize>,
    /// Keep the keys and values of prompts for later ones with the same first tokens.
    pub prefix_cache: PrefixCache,
    /// Instruction set; `None` for the best one, or the one that `STEPWELL_ISA` names.
    pub instructions: Option<Instructions>,
}

/// Reuse of keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrefixCache {
    #[default]
    On,
    Off,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            dtype: Dtype::F32,
            slots: 16,
            cache_bytes: 1 << 30,
            shared_cache_bytes: usize::MAX,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            prefill_chunk: 512,
            context: None,
            prefix_cache: PrefixCache::On,
            instructions: None,
        }
    }
}

/// Bytes of keys and values of several sequences, and most of one alone, in [`EngineOptions::for_model`].
const SHARED_CACHE: usize = 192 << 20;
const LONGEST_CACHE: usize = 1 << 30;

impl EngineOptions {
    /// Usual options for a model of this shape: the cache has room for one sequence of the whole context, but several share
    /// less than that, so that a batch needs little memory beside the weights.
    pub fn for_model(shape: &Shape, dtype: Dtype) -> Self {
        let Shape { heads, kv_heads, head_dim, layers, context, .. } = *shape;
        let heads = HeadLayout { heads, kv_heads, head_dim };
        let block = BlockLayout { heads, layers, form: CacheForm::beside(dtype) };
        let longest = block.bytes().saturating_mul(context.div_ceil(BLOCK_TOKENS));
        EngineOptions {
            dtype,
            cache_bytes: longest.clamp(SHARED_CACHE, LONGEST_CACHE),
            shared_cache_bytes: SHARED_CACHE,
            ..EngineOptions::default()
        }
    }

    /// Checks that every number is within its limits.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn validate(&self) -> Result<(), EngineError> {
        let numbers = [
            ("slots", self.slots, 4096),
            ("threads", self.threads, 1024),
            ("prefill_chunk", self.prefill_chunk, 65_536),
            ("context", self.context.unwrap_or(1), 1 << 24),
        ];
        for (option, found, most) in numbers {
            if !(1..=most).contains(&found) {
                return Err(EngineError::Option { option, found, expected: format!("1 to {most}") });
            }
        }
        Ok(())
    }
}
