//! Generates from one prompt and from sixteen, ours and theirs, round after round.

use std::path::PathBuf;

use super::material::{self, Prompts};
use super::worker::Generated;
use crate::contest::{Contestant, Launch, Peer, in_turns};
use crate::error::BenchError;
use crate::observe::{load, stepwell};
use crate::statistics::Report;
use stepwell_train::model::config::ModelConfig;

/// Options of `bench generate`.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Name of a model's shape.
    pub preset: String,
    /// Interpreter for `transformers`; `None` measures ours alone.
    pub transformers: Option<PathBuf>,
    /// Tokens per prompt; `new_tokens` more follow.
    pub prompt: usize,
    pub new_tokens: usize,
    pub threads: usize,
    pub rounds: usize,
}

/// Prompts per turn, and the names of the figures: ours, theirs.
const BATCHES: [(usize, [&str; 2]); 2] =
    [(1, ["stepwell_batch_1", "transformers_batch_1"]), (16, ["stepwell_batch_16", "transformers_batch_16"])];
const PEAKS: [&str; 2] = ["stepwell_memory", "transformers_memory"];
const GOAL: f64 = 1.5;

/// Generates with every contestant and removes the temporary folder afterwards.
///
/// # Errors
/// `Preset` or `NoRoom` for impossible options; other variants when a contestant cannot be started or fails.
pub fn generate(options: &GenerateOptions, say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    let preset = ModelConfig::preset(&options.preset);
    let shape =
        preset.ok_or_else(|| BenchError::Preset { name: options.preset.clone(), known: &ModelConfig::PRESETS })?;
    let room = shape.context;
    if options.prompt + options.new_tokens > room {
        return Err(BenchError::NoRoom { prompt: options.prompt, new_tokens: options.new_tokens, context: room });
    }
    let folder = tempfile::Builder::new().prefix("stepwell-bench-").tempdir();
    let folder = folder.map_err(BenchError::system("make a temporary folder"))?;
    let folder = folder.path();
    let most = BATCHES.map(|(batch, _)| batch).into_iter().max().unwrap_or(1);
    material::write(folder, &shape, &Prompts::draw(most, options.prompt, options.new_tokens, shape.vocab_size))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = Report { cores, load_before: load(), ..Report::default() };

    let threads = options.threads;
    let mut command = stepwell(&folder.join("state"), &["bench", "contestant", "generate"])?;
    command.arg(folder);
    let ours = Launch { name: "stepwell".to_owned(), command, threads, log: folder.join("stepwell.log") };
    let mut contestants = vec![Contestant::start(ours)?];
    if let Some(python) = &options.transformers {
        let command = Peer::Generate.command(python, folder, "f32", threads)?;
        let theirs = Launch { name: "transformers".to_owned(), command, threads, log: folder.join("python.log") };
        contestants.push(Contestant::start(theirs)?);
    }
    for contestant in &mut contestants {
        let Generated { .. } = contestant.ask("generate 1")?;
        say(&format!("{} ({}) is ready", contestant.name, contestant.version));
    }
    for round in 0..options.rounds.max(1) {
        say(&format!("round {} of {}", round + 1, options.rounds.max(1)));
        for (batch, names) in BATCHES {
            for index in in_turns(contestants.len(), round) {
                let Generated { seconds, tokens } = contestants[index].ask(&format!("generate {batch}"))?;
                let count: usize = tokens.iter().map(Vec::len).sum();
                report.add(names[index], "tok/s", count as f64 / seconds);
            }
        }
    }
    for (contestant, name) in contestants.iter().zip(PEAKS) {
        if let Some(peak) = contestant.peak() {
            report.add(name, "MiB", peak);
        }
    }
    report.load_after = load();
    for (_, [ours, theirs]) in BATCHES {
        report.at_least(ours, theirs, GOAL);
    }
    Ok(report)
}
