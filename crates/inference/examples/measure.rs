//! Speed of a model next to what the machine allows, in turns: `measure MODEL [ROUNDS] [THREADS]`.
//!
//! `stepwell bench infer` does the same next to `transformers` and `llama-cpp-python`; this one builds in a minute.

#![expect(clippy::print_stdout, reason = "a tool for measurements")]

use std::path::Path;
use std::time::Instant;

use stepwell_inference::{Dtype, Engine, EngineOptions, PrefixCache, Request, SamplingOptions, measure};
use stepwell_models::Model;

const NEW_TOKENS: usize = 32;
const LONG_PROMPT: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let model = Model::open(Path::new(arguments.first().ok_or("MODEL [ROUNDS] [THREADS]")?))?;
    let number = |index: usize| arguments.get(index).and_then(|word| word.parse::<usize>().ok());
    let rounds = number(1).unwrap_or(5);
    let threads = number(2).unwrap_or(std::thread::available_parallelism()?.get());
    let mut engines = Vec::new();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Q8_0] {
        let options = EngineOptions { dtype, threads, prefix_cache: PrefixCache::Off, ..EngineOptions::default() };
        engines.push((dtype, Engine::new(&model, &options)?));
    }
    println!("tok/s: one sequence, sixteen, a prompt of {LONG_PROMPT}; in brackets: share of what the machine allows");
    for round in 0..rounds {
        for turn in 0..engines.len() {
            let (dtype, engine) = &mut engines[(turn + round) % 3];
            let before = (measure::bytes_per_second(threads), measure::products_per_second(threads));
            let [one, sixteen] = [1, 16].map(|batch| batch as f64 / seconds(engine, batch, 32, NEW_TOKENS));
            let prefill = LONG_PROMPT as f64 / seconds(engine, 1, LONG_PROMPT, 0);
            let after = (measure::bytes_per_second(threads), measure::products_per_second(threads));
            let bytes = f64::midpoint(before.0, after.0) / engine.weight_bytes() as f64;
            let products = f64::midpoint(before.1, after.1) / engine.products_per_token() as f64;
            println!(
                "{:>5}: {one:6.1} [{:.2}]  {sixteen:6.1} [x {:4.1}]  {prefill:6.1} [{:.2}]   {:.1} GB/s  {:.0} GFLOP/s",
                dtype.name(),
                one / bytes,
                sixteen / one,
                prefill / products,
                before.0 / 1e9,
                before.1 * 2e-9
            );
        }
    }
    Ok(())
}

/// Seconds of the fastest step after the prompts, or of the prompts if no tokens follow. The fastest, because other load
/// on the machine makes steps slower only.
fn seconds(engine: &mut Engine<'_>, batch: usize, prompt: usize, new_tokens: usize) -> f64 {
    let sampling = SamplingOptions {
        max_tokens: Some(new_tokens + 1),
        temperature: 0.0,
        ignore_eos: true,
        ..SamplingOptions::default()
    };
    for id in 0..batch as u32 {
        let prompt = (0..prompt as u32).map(|token| 200 + (token * 31 + id * 97) % 5000).collect();
        let request = Request { id: u64::from(id), prompt, sampling: sampling.clone() };
        engine.submit(request).expect("a short prompt");
    }
    let mut fastest = f64::INFINITY;
    while !engine.is_idle() {
        let in_prompt = engine.tokens_waiting() > batch;
        let start = Instant::now();
        engine.step();
        if in_prompt == (new_tokens == 0) {
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    fastest
}
