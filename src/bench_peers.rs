//! `stepwell bench generate` and `bench tokenize`, and our side of all measurements against Python.

use serde_json::json;

use super::args::{BenchContestantArgs, BenchGenerateArgs, BenchTokenizeArgs, Task};
use super::bench::human;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use stepwell_bench::generate::{self, GenerateOptions};
use stepwell_bench::tokenize::{self, TokenizeOptions};
use stepwell_bench::{self, Report};

pub fn generate(session: &Session, args: &BenchGenerateArgs) -> Result<Exit, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = GenerateOptions {
        preset: args.preset.clone(),
        transformers: args.against.as_ref().map(|_| args.python.clone()),
        prompt: usize::from(args.prompt),
        new_tokens: usize::from(args.new_tokens),
        threads: args.threads.map_or(cores, usize::from),
        rounds: args.rounds,
    };
    let report = generate::generate(&options, &|text| session.out.message(text))?;
    print(session, "generate", &report)
}

pub fn tokenize(session: &Session, args: &BenchTokenizeArgs) -> Result<Exit, CliError> {
    let options = TokenizeOptions {
        corpus: args.corpus.clone(),
        documents: args.documents,
        vocab_size: args.vocab_size,
        tokenizers: args.against.as_ref().map(|_| args.python.clone()),
        threads: usize::from(args.threads),
        rounds: args.rounds,
    };
    let report = tokenize::tokenize(&options, &|text| session.out.message(text))?;
    print(session, "tokenize", &report)
}

pub fn contestant(args: &BenchContestantArgs) -> Result<Exit, CliError> {
    match args.task {
        Task::Train => stepwell_bench::train::work(&args.folder, args.precision)?,
        Task::Generate => generate::work(&args.folder)?,
        Task::Tokenize => tokenize::work(&args.folder)?,
    }
    Ok(Exit::Ok)
}

fn print(session: &Session, name: &str, report: &Report) -> Result<Exit, CliError> {
    session.out.document(&human(report), json!({ "bench": name, "report": report }))?;
    Ok(Exit::Ok)
}
