//! Settings of an engine.

use super::error::EngineError;
use crate::cpu::Instructions;
use crate::kernels::Dtype;

/// Settings of an engine. None of them but `dtype` and `context` changes a bit of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    pub dtype: Dtype,
    /// Most sequences that are computed together.
    pub slots: usize,
    /// Most bytes of keys and values.
    pub cache_bytes: usize,
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
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            prefill_chunk: 512,
            context: None,
            prefix_cache: PrefixCache::On,
            instructions: None,
        }
    }
}

impl EngineOptions {
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
