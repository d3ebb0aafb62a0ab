//! Arguments, and what happens from the first line to the last file.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::result_files::{ResultFiles, write};
use super::run::{Batch, bring_to_its_end};
use crate::arguments::LogArgs;
use crate::drive::model_source::find_model;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Answer a file of requests with a model
///
/// The file has one request per line, as for OpenAI's Batch API and vLLM's `run-batch`: `custom_id`, `method`, `url` and
/// `body`. Each row is kept as soon as it is answered. Whatever is killed, the same command continues where it was, and
/// the files are the same bytes as without the kill. Exit code 3 says that rows failed; their lines are in ERR.
#[derive(Args, Debug)]
pub struct BatchArgs {
    /// File of requests, one JSON object per line
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Hugging Face folder, GGUF file, run with a model (also `WORKFLOW@last`), or output RUN/STEP/NAME
    #[arg(long, short, value_name = "MODEL")]
    pub model: String,
    /// File for the answers, in the order of the requests
    #[arg(long = "output-file", short = 'o', value_name = "OUT")]
    pub out: PathBuf,
    /// File for the rows that failed [default: OUT with `.errors` before its ending]
    #[arg(long, value_name = "ERR")]
    pub errors: Option<PathBuf>,
    /// Type in which the weights are kept and multiplied
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = PossibleValuesParser::new(["f32", "bf16", "q8_0"]).map(|name| name))]
    pub dtype: String,
    /// Number of requests that are computed at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub concurrency: u32,
    /// What a line that is no request does: get an error line, or keep everything from starting
    #[arg(long, value_name = "WHAT", default_value = "error_line", value_parser = PossibleValuesParser::new(["error_line", "fail"]).map(|name| name))]
    pub on_bad_line: String,
    /// Time for the whole batch, such as `24h`; later rows fail with `batch_expired`. An alert says once that it is in danger
    #[arg(long, value_name = "TIME", default_value = "")]
    pub deadline: String,
    /// Longest time of one request, such as `10m`; one that takes longer fails with `request_timeout`
    #[arg(long, value_name = "TIME", default_value = "")]
    pub request_timeout: String,
    /// The only url that requests may have, such as `/v1/chat/completions`
    #[arg(long, value_name = "URL", default_value = "")]
    pub endpoint: String,
    /// Name by which requests must call the model (repeatable) [default: any one name]
    #[arg(long, value_name = "NAME")]
    pub served_model_name: Vec<String>,
    #[command(flatten)]
    pub logs: LogArgs,
}

pub fn batch(session: &Session, args: &BatchArgs) -> Result<Exit, CliError> {
    let files = ResultFiles::new(&args.out, args.errors.as_deref());
    files.check(&args.file)?;
    let model = find_model(session, &args.model)?;
    let batch = Batch::new(session, args, &model)?;
    let (run, exit) = bring_to_its_end(session, &batch)?;
    if exit != Exit::Ok {
        session
            .out
            .message("hint: the same command continues the batch; rows that are answered are not computed again");
        return Ok(exit);
    }
    write(session, run, &files)
}
