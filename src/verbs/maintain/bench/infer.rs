//! `stepwell bench infer`

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::report::human;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_bench::infer::{self, InferOptions, Library};
use stepwell_inference::Dtype;

/// Measure inference with a model, on request in turns with `transformers` and `llama-cpp-python`
///
/// Each contestant decodes batches of prompts and computes one long prompt, in turns. Bounds are what this machine's memory
/// and matrix products allow at that moment.
#[derive(Args, Debug)]
pub struct InferArgs {
    /// Model folder or GGUF file
    pub model: PathBuf,
    /// Forms of the weights
    #[arg(long, value_name = "FORM", value_delimiter = ',', default_values = ["f32", "bf16", "q8_0"],
        value_parser = PossibleValuesParser::new(["f32", "bf16", "q8_0"]).try_map(|name| name.parse::<Dtype>()))]
    pub dtype: Vec<Dtype>,
    /// Prompts that are decoded together; several numbers are each measured
    #[arg(long, value_name = "N", value_delimiter = ',', default_values = ["1", "16"],
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: Vec<u16>,
    /// Tokens of each prompt
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(2..))]
    pub prompt: u16,
    /// Tokens to decode after each prompt
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub new_tokens: u16,
    /// Tokens of the long prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u16).range(2..))]
    pub long_prompt: u16,
    /// Also measure these libraries, in alternating turns: `transformers` in f32, `llama-cpp` in q8_0
    #[arg(long, value_name = "LIBRARY", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Library::NAMES).try_map(|name| name.parse::<Library>()))]
    pub against: Vec<Library>,
    /// GGUF file for `llama-cpp` [default: the model, written in q8_0]
    #[arg(long, value_name = "FILE")]
    pub gguf: Option<PathBuf>,
    /// Threads of each contestant [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Turns of each contestant
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Python interpreter that has the libraries
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

pub fn infer(session: &Session, args: &InferArgs) -> Result<Exit, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = InferOptions {
        model: args.model.clone(),
        dtypes: args.dtype.clone(),
        batches: args.batch.iter().map(|batch| usize::from(*batch)).collect(),
        against: args.against.clone(),
        python: args.python.clone(),
        gguf: args.gguf.clone(),
        prompt: usize::from(args.prompt),
        long_prompt: usize::from(args.long_prompt),
        new_tokens: usize::from(args.new_tokens),
        threads: args.threads.map_or(cores, usize::from),
        rounds: args.rounds,
    };
    let report = infer::infer(&options, &|text| session.out.message(text))?;
    session.out.document(&human(&report), json!({ "bench": "infer", "report": report }))?;
    Ok(Exit::Ok)
}
