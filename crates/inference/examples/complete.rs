//! Completes prompts, given as token ids, with the likeliest tokens: `complete MODEL f32 16 64 < prompts.json`.
//!
//! Prints the tokens as JSON, one list per prompt; the speed goes to standard error.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for measurements")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use stepwell_inference::{Engine, EngineOptions, Event, Request, SamplingOptions};
use stepwell_models::Model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let [model, dtype, slots, max_tokens, ..] = &arguments[..] else { return Err("MODEL DTYPE SLOTS TOKENS".into()) };
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let prompts: Vec<Vec<u32>> = serde_json::from_str(&text)?;
    let model = Model::open(Path::new(model))?;
    let start = Instant::now();
    let options = EngineOptions { slots: slots.parse()?, ..EngineOptions::for_model(&model.shape, dtype.parse()?) };
    let mut engine = Engine::new(&model, &options)?;
    eprintln!("loaded in {:.2} s, {} MB per step", start.elapsed().as_secs_f64(), engine.weight_bytes() / 1_000_000);
    let ignore_eos = arguments.len() > 4;
    let sampling =
        SamplingOptions { max_tokens: Some(max_tokens.parse()?), temperature: 0.0, ignore_eos, ..Default::default() };
    for (id, prompt) in prompts.into_iter().enumerate() {
        engine.submit(Request { id: id as u64, prompt, sampling: sampling.clone() })?;
    }
    let mut answers = BTreeMap::new();
    let (mut prefill, mut decode, start) = (0.0, 0.0, Instant::now());
    let mut decoded = 0;
    while !engine.is_idle() {
        let (before, step) = (engine.stats(), Instant::now());
        for event in engine.step() {
            if let Event::Finished(finished) = event {
                answers.insert(finished.id, finished.tokens);
            }
        }
        let after = engine.stats();
        if after.prompt_tokens > before.prompt_tokens {
            prefill += step.elapsed().as_secs_f64();
        } else {
            decode += step.elapsed().as_secs_f64();
            decoded += after.generated_tokens - before.generated_tokens;
        }
    }
    let stats = engine.stats();
    eprintln!(
        "{:.2} s: {} prompt tokens in {prefill:.2} s ({:.1}/s), {decoded} decoded in {decode:.2} s ({:.1}/s)",
        start.elapsed().as_secs_f64(),
        stats.prompt_tokens,
        stats.prompt_tokens as f64 / prefill,
        decoded as f64 / decode
    );
    println!("{}", serde_json::to_string(&answers.into_values().collect::<Vec<_>>())?);
    Ok(())
}
