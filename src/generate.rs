//! `stepwell generate [RUN] --prompt TEXT`

use serde_json::json;

use super::args::GenerateArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::shell;
use stepwell_steps::sampling::Sampling;
use stepwell_steps::text_codec::TextCodec;
use stepwell_steps::trained_model::TrainedModel;
use stepwell_store::StepRow;
use stepwell_train::inference::decoder::Decoder;

pub fn generate(session: &Session, args: &GenerateArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let steps = reader.steps(id)?;
    let model = output(&steps, "train", "model").ok_or_else(|| {
        CliError::not_found(format!("run {id} has no trained model yet"))
            .hint(format!("{} tells how far it is", shell::stepwell("show", [&*args.run])))
    })?;
    let tokenizer = output(&steps, "tokenizer.train", "tokenizer")
        .ok_or_else(|| CliError::not_found(format!("run {id} has trained no tokenizer")))?;
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
    let sample = sampling.draw(&decoder, &codec, &args.prompt, 0)?;
    let text = format!("{}{}", sample.prompt, sample.text);
    session.out.content(&text, json!({ "run": { "id": id }, "prompt": sample.prompt, "text": text }))?;
    Ok(Exit::Ok)
}

/// The named output of the last step of a kind.
fn output(steps: &[StepRow], kind: &str, name: &str) -> Option<ArtifactRef> {
    steps
        .iter()
        .rev()
        .filter(|step| step.kind == kind)
        .find_map(|step| step.outputs.as_ref()?.artifacts.get(name).cloned())
}
