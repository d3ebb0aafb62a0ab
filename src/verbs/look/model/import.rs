//! `stepwell model import PATH`

use clap::Args;
use serde_json::Value;

use crate::drive::load_workflow::load;
use crate::drive::submission::{SubmitArgs, submit};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// The workflow with the step that imports.
const WORKFLOW: &str = "import-model";

/// Bring a model into the artifact store: a Hugging Face folder or a GGUF file
///
/// A folder has `config.json`, `tokenizer.json` and safetensors files in f32, bf16 or f16. Known are Llama, Qwen2, Qwen3
/// and Mistral; what is not known about a model is refused by name. The run's output `model` is used as
/// `model = "NAME"` elsewhere.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The folder, or the GGUF file
    #[arg(value_name = "PATH")]
    pub path: String,
    #[command(flatten)]
    pub submit: SubmitArgs,
}

pub fn import(session: &Session, args: &ImportArgs) -> Result<Exit, CliError> {
    let mut set = args.submit.params.set.clone();
    // Quotes keep every path unchanged.
    set.push(("source".to_owned(), Value::from(args.path.as_str()).to_string()));
    submit(session, load(session, WORKFLOW, &set)?, &args.submit)
}
