//! Decodes batches and computes a long prompt, ours and theirs, round after round.

use std::path::Path;

use super::library::Library;
use super::material::{Material, write_gguf};
use super::options::InferOptions;
use super::side::{Side, Who};
use super::worker::{Facts, Turn};
use crate::contest::{Contestant, in_turns};
use crate::error::BenchError;
use crate::observe::load;
use crate::statistics::Report;
use stepwell_inference::measure;
use stepwell_models::Model;

/// Runs all contestants and removes the temporary folder afterwards.
///
/// # Errors
/// `NoRoom` if the prompts do not fit the context; other variants when a contestant cannot be started or fails.
pub fn infer(options: &InferOptions, say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    let folder = tempfile::Builder::new().prefix("stepwell-bench-").tempdir();
    let folder = folder.map_err(BenchError::system("make a temporary folder"))?;
    let folder = folder.path();
    prepare(options, folder)?.write(folder)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = Report { cores, load_before: load(), ..Report::default() };
    let ours = options.dtypes.iter().map(|dtype| Who::Ours(*dtype));
    let mut sides = Vec::new();
    for who in ours.chain(options.against.iter().map(|library| Who::Theirs(*library))) {
        let mut side = Side::start(who, options, folder)?;
        let Turn { .. } = side.decode(1)?;
        let Contestant { name, version, threads, .. } = &side.contestant;
        say(&format!("{name} ({version}), {threads} threads: ready"));
        sides.push(side);
    }
    for round in 0..options.rounds.max(1) {
        say(&format!("round {} of {}", round + 1, options.rounds.max(1)));
        bounds(&mut report, &mut sides, options.threads)?;
        for batch in &options.batches {
            decode(&mut report, &mut sides, (round, *batch), options.new_tokens)?;
        }
        for index in in_turns(sides.len(), round) {
            let Turn { seconds, .. } = sides[index].prefill()?;
            let name = format!("{}_prefill", sides[index].who.prefix());
            report.add(name, "tok/s", options.long_prompt as f64 / seconds);
        }
    }
    for side in &sides {
        let prefix = side.who.prefix();
        report.add(format!("{prefix}_start"), "s", side.contestant.startup_seconds);
        if let Some(peak) = side.contestant.peak() {
            report.add(format!("{prefix}_memory"), "MiB", peak);
        }
    }
    report.load_after = load();
    compare(&mut report);
    Ok(report)
}

/// Checks that the prompts fit, draws them, and writes the model for llama.cpp.
fn prepare(options: &InferOptions, folder: &Path) -> Result<Material, BenchError> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(BenchError::system("find the working directory"));
    let path = absolute(&options.model)?;
    let model = Model::open(&path)?;
    let (prompt, context) = (options.prompt.max(options.long_prompt), model.shape.context);
    if prompt + options.new_tokens + 1 > context {
        return Err(BenchError::NoRoom { prompt, new_tokens: options.new_tokens + 1, context });
    }
    let gguf = match &options.gguf {
        _ if !options.against.contains(&Library::LlamaCpp) => None,
        Some(gguf) => Some(absolute(gguf)?),
        None => Some(write_gguf(&model, folder)?),
    };
    let rows = options.batches.iter().copied().max().unwrap_or(1);
    let vocab = model.tokenizer.vocab().min(model.shape.vocab);
    let material = Material { model: path, gguf, new_tokens: options.new_tokens, ..Material::default() };
    Ok(material.with_prompts(rows, [options.prompt, options.long_prompt], vocab))
}

/// Measures what the machine allows at this moment.
fn bounds(report: &mut Report, sides: &mut [Side], threads: usize) -> Result<(), BenchError> {
    let bytes = measure::bytes_per_second(threads);
    let products = measure::products_per_second(threads);
    report.add("memory", "GB/s", bytes / 1e9);
    report.add("products", "GFLOP/s", 2.0 * products / 1e9);
    for (index, side) in sides.iter_mut().enumerate() {
        let Who::Ours(dtype) = side.who else { continue };
        let facts: Facts = side.contestant.ask("facts")?;
        report.add(format!("{}_bound", dtype.name()), "tok/s", bytes / facts.bytes as f64);
        if index == 0 {
            report.add("prefill_bound", "tok/s", products / facts.products as f64);
        }
    }
    Ok(())
}

/// Lets all contestants decode, and counts how many of their first tokens are ours.
fn decode(
    report: &mut Report,
    sides: &mut [Side],
    (round, batch): (usize, usize),
    new_tokens: usize,
) -> Result<(), BenchError> {
    let mut found: Vec<Option<Vec<Vec<u32>>>> = sides.iter().map(|_| None).collect();
    for index in in_turns(sides.len(), round) {
        let who = sides[index].who;
        if !who.decodes(batch) {
            continue;
        }
        let Turn { seconds, tokens } = sides[index].decode(batch)?;
        report.add(format!("{}_batch_{batch}", who.prefix()), "tok/s", (batch * new_tokens) as f64 / seconds);
        found[index] = Some(tokens);
    }
    for (side, theirs) in sides.iter().zip(&found) {
        let (Who::Theirs(library), Some(theirs)) = (side.who, theirs) else { continue };
        let same = sides.iter().position(|side| side.who == Who::Ours(library.dtype()));
        let Some(ours) = same.and_then(|same| found[same].as_ref()) else { continue };
        report.add(format!("{}_equal_{batch}", side.who.prefix()), "share", share_equal(ours, theirs));
    }
    Ok(())
}

/// Share of tokens that agree up to the first difference of each row.
fn share_equal(ours: &[Vec<u32>], theirs: &[Vec<u32>]) -> f64 {
    let pairs = ours.iter().zip(theirs);
    let equal: usize = pairs.map(|(a, b)| a.iter().zip(b).take_while(|(a, b)| a == b).count()).sum();
    equal as f64 / ours.iter().map(Vec::len).sum::<usize>().max(1) as f64
}

/// Adds the goals whose figures were measured.
fn compare(report: &mut Report) {
    report.at_least("q8_0_batch_1", "llama_cpp_batch_1", 0.9);
    report.at_least("q8_0_batch_1", "q8_0_bound", 0.8);
    report.at_least("f32_batch_16", "f32_batch_1", 8.0);
    report.at_least("f32_batch_16", "transformers_batch_16", 1.5);
    report.at_least("f32_prefill", "prefill_bound", 0.7);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_count_as_equal_up_to_the_first_difference() {
        let rows = [vec![1, 2, 3, 4], vec![5, 6, 7, 8]];
        assert_eq!(share_equal(&rows, &rows), 1.0);
        assert_eq!(share_equal(&rows, &[vec![1, 2, 9, 4], vec![5, 6, 7, 8]]), 0.75);
        assert_eq!(share_equal(&rows, &[]), 0.0);
    }
}
