//! `stepwell bench tokenize`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::report::human;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_bench::tokenize::{self, TokenizeOptions};

/// Measure text encoded per second, on request in turns with `tokenizers`
#[derive(Args, Debug)]
pub struct TokenizeArgs {
    /// Text to encode: a source of `corpus.import`, such as a file, or the built-in corpus
    #[arg(long, value_name = "SOURCE", default_value = "builtin:grammar")]
    pub corpus: String,
    /// Documents to take from the built-in corpus
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub documents: u64,
    /// Vocabulary size of the tokenizer that is trained on the text
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub vocab_size: u32,
    /// Also encode with this library, in alternating turns
    #[arg(long, value_name = "LIBRARY", value_parser = ["tokenizers"])]
    pub against: Option<String>,
    /// Threads of each contestant
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Turns of each contestant
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Python interpreter that has `tokenizers`
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

pub fn tokenize(session: &Session, args: &TokenizeArgs) -> Result<Exit, CliError> {
    let options = TokenizeOptions {
        corpus: args.corpus.clone(),
        documents: args.documents,
        vocab_size: args.vocab_size,
        tokenizers: args.against.as_ref().map(|_| args.python.clone()),
        threads: usize::from(args.threads),
        rounds: args.rounds,
    };
    let report = tokenize::tokenize(&options, &|text| session.out.message(text))?;
    session.out.document(&human(&report), json!({ "bench": "tokenize", "report": report }))?;
    Ok(Exit::Ok)
}
