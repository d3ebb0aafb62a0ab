//! `stepwell bench generate`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::report::human;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_bench::generate::{self, GenerateOptions};

/// Measure generated tokens per second, on request in turns with `transformers`
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Model preset to generate with, untrained
    #[arg(long, value_name = "NAME", default_value = "deep60")]
    pub preset: String,
    /// Also generate with this library, in alternating turns
    #[arg(long, value_name = "LIBRARY", value_parser = ["transformers"])]
    pub against: Option<String>,
    /// Tokens per prompt
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub prompt: u16,
    /// Tokens to add to each prompt
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub new_tokens: u16,
    /// Threads of each contestant [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Turns of each contestant
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Python interpreter that has `transformers`
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

pub fn generate(session: &Session, args: &GenerateArgs) -> Result<Exit, CliError> {
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
    session.out.document(&human(&report), json!({ "bench": "generate", "report": report }))?;
    Ok(Exit::Ok)
}
