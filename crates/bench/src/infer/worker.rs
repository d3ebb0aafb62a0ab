//! Our contestant: the inference engine.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::material::Material;
use crate::contest::Host;
use crate::error::BenchError;
use stepwell_inference::{Dtype, Engine, EngineOptions, Event, PrefixCache, Request, SamplingOptions};
use stepwell_models::Model;

/// Most tokens of prompts in one step that [`EngineOptions`] allows.
const MOST_CHUNK: usize = 65_536;

/// Answer of a contestant after one turn.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Turn {
    pub seconds: f64,
    /// New tokens of each prompt.
    pub tokens: Vec<Vec<u32>>,
}

/// Facts that bounds are computed from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Bytes of weights that one decoding step reads.
    pub bytes: usize,
    /// Multiplications for one token of a prompt.
    pub products: usize,
}

/// Computes the material in a folder whenever standard input asks for it, until the input ends.
///
/// # Errors
/// When the material or the model cannot be read.
pub fn work(folder: &Path, dtype: Dtype) -> Result<(), BenchError> {
    let material = Material::read(folder)?;
    let model = Model::open(&material.model)?;
    let threads = std::env::var("OMP_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
    let mut engine = Engine::new(&model, &options(&model, &material, dtype, threads))?;
    let mut serve = || {
        let host = Host::ready()?;
        while let Some(request) = host.request()? {
            let (name, number) = request.split_once(' ').unwrap_or((&request, ""));
            match name {
                "facts" => {
                    host.answer(&Facts { bytes: engine.weight_bytes(), products: engine.products_per_token() })?;
                }
                "prefill" => host.answer(&prefill(&mut engine, &material.long_prompt))?,
                _ => {
                    let batch = number.parse().unwrap_or(1).min(material.prompts.len());
                    host.answer(&decode(&mut engine, &material.prompts[..batch], material.new_tokens))?;
                }
            }
        }
        Ok(())
    };
    serve().map_err(BenchError::system("answer"))
}

/// All prompts at once, each computed in one step, with room for what follows.
fn options(model: &Model, material: &Material, dtype: Dtype, threads: Option<usize>) -> EngineOptions {
    let usual = EngineOptions::default();
    let slots = material.prompts.len().max(1);
    let longest = material.prompts.iter().map(|prompt| prompt.len() + material.new_tokens + 1).max().unwrap_or(0);
    let shape = &model.shape;
    let per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim.next_multiple_of(32) * size_of::<f32>();
    // Blocks of 32 tokens, one more for what does not fill its last one.
    let tokens = slots * (longest + 32) + material.long_prompt.len() + 64;
    EngineOptions {
        dtype,
        slots,
        cache_bytes: tokens * per_token,
        threads: threads.unwrap_or(usual.threads),
        prefill_chunk: (slots * longest).clamp(usual.prefill_chunk, MOST_CHUNK),
        prefix_cache: PrefixCache::Off,
        ..usual
    }
}

/// Computes prompts, then times `new_tokens` further tokens of each.
fn decode(engine: &mut Engine<'_>, prompts: &[Vec<u32>], new_tokens: usize) -> Turn {
    submit(engine, prompts, new_tokens + 1);
    let mut tokens = vec![Vec::new(); prompts.len()];
    let mut started = Instant::now();
    while !engine.is_idle() {
        let in_prompts = engine.tokens_waiting() > prompts.len();
        let events = engine.step();
        if in_prompts {
            started = Instant::now();
        }
        keep(events, &mut tokens);
    }
    Turn { seconds: started.elapsed().as_secs_f64(), tokens }
}

/// Times a prompt up to the token after it.
fn prefill(engine: &mut Engine<'_>, prompt: &[u32]) -> Turn {
    let mut tokens = vec![Vec::new()];
    let started = Instant::now();
    submit(engine, std::slice::from_ref(&prompt.to_vec()), 1);
    while !engine.is_idle() {
        keep(engine.step(), &mut tokens);
    }
    Turn { seconds: started.elapsed().as_secs_f64(), tokens }
}

fn submit(engine: &mut Engine<'_>, prompts: &[Vec<u32>], max_tokens: usize) {
    let greedy = SamplingOptions {
        max_tokens: Some(max_tokens),
        temperature: 0.0,
        ignore_eos: true,
        ..SamplingOptions::default()
    };
    for (id, prompt) in (0..).zip(prompts) {
        // The prompts were checked against the context and have room in the cache, so none is refused.
        let _ = engine.submit(Request { id, prompt: prompt.clone(), sampling: greedy.clone() });
    }
}

fn keep(events: Vec<Event>, tokens: &mut [Vec<u32>]) {
    for event in events {
        if let Event::Finished(finished) = event {
            tokens[finished.id as usize] = finished.tokens;
        }
    }
}
