//! `stepwell generate [RUN] --prompt TEXT`

use clap::Args;
use serde_json::json;

use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle_of;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_steps::sampling::Sampling;
use stepwell_steps::text_codec::TextCodec;
use stepwell_steps::trained_model::TrainedModel;
use stepwell_store::{Reader, StepRow};
use stepwell_train::inference::decoder::Decoder;

/// Continue a prompt with a trained model
///
/// Uses the model and the tokenizer of a run. The same seed gives the same text.
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Run whose model is used: id, unique prefix, name, or `last` [default: the newest run with a model]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Text to continue
    #[arg(short, long, aliases = ["start", "text"], value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    pub prompt: String,
    /// Maximum number of tokens to generate
    #[arg(short = 'n', long, aliases = ["max-tokens", "max_new_tokens", "max_tokens", "n"], value_name = "N", default_value_t = 64)]
    pub max_new_tokens: usize,
    /// Randomness of the choice; 0 always picks the likeliest token
    #[arg(short, long, value_name = "NUMBER", default_value_t = 0.8, allow_negative_numbers = true)]
    pub temperature: f32,
    /// Sample only from the k likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Sample only from the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Seed of the random choices; the same seed gives the same text
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

pub fn generate(session: &Session, args: &GenerateArgs) -> Result<Exit, CliError> {
    let text = prompt_in_place_of_run(session, args);
    let prompt = text.unwrap_or(&args.prompt);
    let (reader, id) = match &args.run {
        Some(run) if text.is_none() => session.find_kept_run(run)?,
        _ => newest_with_model(session)?,
    };
    let steps = reader.steps(id)?;
    let model = output(&steps, "model").ok_or_else(|| {
        let run = handle_of(session.state_dir(), id);
        CliError::not_found(format!("run {id} has no trained model yet"))
            .hint(format!("{} tells how far it is", shell::stepwell("show", [&*run])))
            .hint("without a run, `stepwell generate` takes the newest that has a model")
    })?;
    let tokenizer =
        output(&steps, "tokenizer").ok_or_else(|| CliError::not_found(format!("run {id} has trained no tokenizer")))?;
    let sampling = Sampling {
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        seed: args.seed,
    };
    sampling.validate()?;
    let artifacts = session.artifacts()?;
    let codec = TextCodec::load(&artifacts.read(&tokenizer)?)?;
    let trained = TrainedModel::read(&artifacts, &model)?;
    trained.check_tokenizer(&codec)?;
    let decoder = Decoder::new(&trained.load("auto")?);
    let sample = sampling.draw(&decoder, &codec, prompt, 0)?;
    let text = format!("{}{}", sample.prompt, sample.text);
    session.out.content(&text, json!({ "run": { "id": id }, "prompt": sample.prompt, "text": text }))?;
    Ok(Exit::Ok)
}

/// The newest run with a trained model.
fn newest_with_model(session: &Session) -> Result<(Reader, RunId), CliError> {
    let reader = session.reader()?;
    let kinds = stepwell_steps::registry().iter().filter(|kind| kind.gives().outputs.declares("model"));
    let kinds: Vec<&str> = kinds.map(|kind| kind.kind()).collect();
    match reader.newest_run_with_output("model", &kinds)? {
        Some(run) => Ok((reader, run)),
        None => Err(CliError::not_found("no run has a trained model")
            .hint("`stepwell start-training` trains one; `stepwell list` shows the runs")),
    }
}

/// The text in `stepwell generate "The old king"`: no run has spaces in its name.
fn prompt_in_place_of_run<'a>(session: &Session, args: &'a GenerateArgs) -> Option<&'a str> {
    let text = args.run.as_deref().filter(|text| args.prompt.is_empty() && text.contains(' '))?;
    match session.find_run(text) {
        Err(error) if error.kind == ErrorKind::NotFound => Some(text),
        _ => None,
    }
}

/// The output of this name of the last step whose kind declares it.
fn output(steps: &[StepRow], name: &str) -> Option<ArtifactRef> {
    steps
        .iter()
        .rev()
        .filter(|step| stepwell_steps::find(&step.kind).is_some_and(|kind| kind.gives().outputs.declares(name)))
        .find_map(|step| step.outputs.as_ref()?.artifacts.get(name).cloned())
}
