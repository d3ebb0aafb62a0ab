//! Hidden verbs for comparison with other implementations.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::error::CliError;
use crate::session::Session;
use stepwell_steps::load_tokenizer;
use stepwell_steps::trained_model::TrainedModel;
use stepwell_train::evaluation::score;
use stepwell_train::model::hf_config::SavedModel;

#[derive(Deserialize)]
struct Windows {
    windows: Vec<Vec<u32>>,
}

pub fn logits(session: &Session, folder: &Path, ids: &Path) -> Result<(), CliError> {
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

pub fn tokenise(session: &Session, tokenizer: &Path, text: &Path, lines: usize) -> Result<(), CliError> {
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
