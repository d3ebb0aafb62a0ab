//! `stepwell model describe PRESET`, and hidden verbs for comparison with other implementations.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_steps::load_tokenizer;
use stepwell_steps::trained_model::TrainedModel;
use stepwell_train::evaluation::score;
use stepwell_train::model::config::{Ffn, ModelConfig};
use stepwell_train::model::hf_config::SavedModel;
use stepwell_workflow::diagnostic::grouped;

/// Describe the model presets
#[derive(Subcommand, Debug)]
pub enum ModelVerb {
    /// Print the exact number of parameters of a preset, part by part
    Describe {
        /// Name of a preset: tiny, quickstart, small, deep60 or deep60-ungated
        #[arg(value_name = "PRESET")]
        name: String,
    },
    /// Print logits and losses of given token windows, for comparison with other implementations
    #[command(hide = true)]
    Logits {
        /// Folder with `config.json` and `model.safetensors`
        folder: PathBuf,
        /// JSON file: {"windows": [[token ids]]}
        #[arg(long)]
        ids: PathBuf,
    },
    /// Print token ids of every non-empty line of a text, for comparison with other implementations
    #[command(hide = true)]
    Tokenise {
        /// Path of a tokenizer.json
        tokenizer: PathBuf,
        /// Text file to encode
        text: PathBuf,
        /// Maximum number of lines
        #[arg(long, default_value_t = 1000)]
        lines: usize,
    },
}

pub fn model(session: &Session, verb: &ModelVerb) -> Result<Exit, CliError> {
    match verb {
        ModelVerb::Describe { name } => describe(session, name)?,
        ModelVerb::Logits { folder, ids } => logits(session, folder, ids)?,
        ModelVerb::Tokenise { tokenizer, text, lines } => tokenise(session, tokenizer, text, *lines)?,
    }
    Ok(Exit::Ok)
}

fn describe(session: &Session, name: &str) -> Result<(), CliError> {
    let config = ModelConfig::preset(name).ok_or_else(|| {
        CliError::not_found(format!("there is no model preset `{name}`"))
            .hint(format!("the presets are {}", ModelConfig::PRESETS.join(", ")))
    })?;
    let counts = config.parameter_counts();
    let mut text = format!("{name}: {} parameters\n\n", grouped(counts.total));
    let parts = [
        ("embedding (also the output head)", counts.embedding),
        ("attention", counts.attention),
        ("feed-forward", counts.ffn),
        ("norms", counts.norms),
    ];
    for (part, parameters) in parts {
        text.push_str(&format!("  {part:<34} {:>12}\n", grouped(parameters)));
    }
    let ffn = match config.ffn {
        Ffn::SwiGlu { hidden } => format!("SwiGLU {hidden}"),
        Ffn::Gelu { hidden } => format!("GELU {hidden}"),
    };
    text.push_str(&format!(
        "\n  layers {}  d_model {}  heads {} x {} (key-value {})  feed-forward {}  vocabulary {}  context {}\n",
        config.layers,
        config.d_model,
        config.heads,
        config.head_dim,
        config.kv_heads,
        ffn,
        grouped(config.vocab_size),
        config.context
    ));
    session.out.document(&text, json!({ "model": name, "parameters": counts.total, "parts": counts, "config": config }))
}

#[derive(Deserialize)]
struct Windows {
    windows: Vec<Vec<u32>>,
}

fn logits(session: &Session, folder: &Path, ids: &Path) -> Result<(), CliError> {
    let config: SavedModel = serde_json::from_slice(&read(&folder.join("config.json"))?)
        .map_err(|error| CliError::usage(format!("{}/config.json: {error}", folder.display())))?;
    let model = TrainedModel::from_files(config, read(&folder.join("model.safetensors"))?)?.load("auto")?;
    let Windows { windows } =
        serde_json::from_slice(&read(ids)?).map_err(|error| CliError::usage(format!("{}: {error}", ids.display())))?;
    let nll: Vec<Vec<f32>> = windows.iter().map(|window| score::token_nll(&model, window)).collect();
    let first: Vec<Vec<Vec<f32>>> = windows.first().map(|window| score::logits(&model, window)).into_iter().collect();
    session.out.json_line(&json!({ "windows": windows, "logits": first, "nll": nll })).map(|_| ())
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))
}

fn tokenise(session: &Session, tokenizer: &Path, text: &Path, lines: usize) -> Result<(), CliError> {
    let tokenizer = load_tokenizer(&read(tokenizer)?)?;
    let text = String::from_utf8_lossy(&read(text)?).into_owned();
    let mut ids = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()).take(lines) {
        let encoding = tokenizer
            .encode(line, false)
            .map_err(|error| CliError::failed(format!("cannot tokenise `{line}`: {error}")))?;
        ids.push(encoding.get_ids().to_vec());
    }
    session.out.json_line(&json!(ids)).map(|_| ())
}
