//! Starts an engine within the memory that there is.

use crate::infer::arguments::Dtype;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_inference::{self as inference, Engine, EngineOptions, PrefixCache};
use stepwell_models::Model;

/// Limits of an engine's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Most completions at once.
    pub slots: usize,
    /// Bytes of keys and values; `None` for room for one row of the whole context.
    pub cache: Option<usize>,
    /// Keeps the keys and values of finished prompts for later ones, while there is room.
    pub keeps_prompts: bool,
}

impl Memory {
    pub(crate) fn of_slots(slots: usize) -> Memory {
        Memory { slots, cache: None, keeps_prompts: true }
    }
}

/// Loads the weights and starts an engine. If the system refuses the memory for keys and values, tries half of it, down to what is
/// usual for the model: fewer rows are then computed together, to the same bits. Returns the bytes if they are fewer than asked for.
///
/// # Errors
/// When there is too little memory, or an option is out of its limits.
pub(crate) fn start<'m>(
    model: &'m Model,
    dtype: Dtype,
    memory: Memory,
) -> Result<(Engine<'m>, Option<usize>), Failure> {
    let dtype = match dtype {
        Dtype::F32 => inference::Dtype::F32,
        Dtype::Bf16 => inference::Dtype::Bf16,
        Dtype::Q8_0 => inference::Dtype::Q8_0,
    };
    let usual = EngineOptions {
        slots: memory.slots,
        prefix_cache: if memory.keeps_prompts { PrefixCache::On } else { PrefixCache::Off },
        ..EngineOptions::for_model(&model.shape, dtype)
    };
    let least = usual.cache_bytes;
    let mut options = match memory.cache {
        Some(bytes) => EngineOptions { cache_bytes: bytes, shared_cache_bytes: bytes, ..usual },
        None => usual,
    };
    let asked = options.cache_bytes;
    loop {
        match Engine::new(model, &options) {
            Ok(engine) => return Ok((engine, (options.cache_bytes < asked).then_some(options.cache_bytes))),
            Err(error) if error.lacks_memory() && options.cache_bytes / 2 >= least => {
                options.cache_bytes /= 2;
                options.shared_cache_bytes = options.shared_cache_bytes.min(options.cache_bytes);
            }
            Err(error) => return Err(Failure::from_error(FailureKind::Fatal, &error)),
        }
    }
}
