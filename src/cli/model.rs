//! `stepwell model describe PRESET`, and the hidden verbs that oracles compare with.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::args::ModelVerb;
use super::error::{CliError, chain};
use super::exit_code::Exit;
use super::session::Session;
use crate::train::config::{Ffn, ModelConfig};
use crate::train::model::{Batch, Transformer};
use crate::train::{device, weights};

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

/// `60659520` as `60,659,520`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[derive(Deserialize)]
struct Windows {
    windows: Vec<Vec<u32>>,
}

fn logits(session: &Session, folder: &Path, ids: &Path) -> Result<(), CliError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))
    };
    let config = crate::steps::model_files::config_from_folder(folder)?;
    let tensors = weights::load(&read(&folder.join("model.safetensors"))?).map_err(|error| {
        CliError::usage(format!("cannot read the weights in {}: {}", folder.display(), chain(&error)))
    })?;
    let device = device::open("auto").map_err(|error| CliError::internal("open the device", &error))?;
    let model = Transformer::from_named(&config, &tensors, &device)
        .map_err(|error| CliError::usage(format!("the weights do not fit config.json: {}", chain(&error))))?;
    let Windows { windows } =
        serde_json::from_slice(&read(ids)?).map_err(|error| CliError::usage(format!("{}: {error}", ids.display())))?;
    let nll: Vec<Value> = windows.iter().map(|window| json!(window_nll(&model, window))).collect();
    let first: Vec<Vec<f32>> = windows.first().map(|window| model.host_logits(window)).unwrap_or_default();
    session.out.line(&json!({ "windows": windows, "logits": first, "nll": nll }).to_string())
}

/// Cross-entropy, in nats, of every token of the window but the first.
fn window_nll(model: &Transformer, window: &[u32]) -> Vec<f32> {
    let seq = window.len().saturating_sub(1);
    if seq == 0 {
        return Vec::new();
    }
    let batch = Batch {
        ids: window[..seq].to_vec(),
        targets: window[1..].iter().map(|id| *id as i32).collect(),
        starts: vec![0; seq],
        batch: 1,
        seq,
        dropout_seed: None,
    };
    model.host_token_nll(&batch)
}

fn tokenise(session: &Session, tokenizer: &Path, text: &Path, lines: usize) -> Result<(), CliError> {
    let tokenizer = Tokenizer::from_file(tokenizer)
        .map_err(|error| CliError::usage(format!("cannot read {}: {error}", tokenizer.display())))?;
    let text = std::fs::read_to_string(text)
        .map_err(|error| CliError::usage(format!("cannot read {}: {error}", text.display())))?;
    let mut ids = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()).take(lines) {
        let encoding = tokenizer
            .encode(line, false)
            .map_err(|error| CliError::failed(format!("cannot tokenise `{line}`: {error}")))?;
        ids.push(encoding.get_ids().to_vec());
    }
    session.out.line(&json!(ids).to_string())
}
