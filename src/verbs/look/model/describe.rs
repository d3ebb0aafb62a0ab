//! `stepwell model describe PRESET`

use serde_json::json;

use crate::error::CliError;
use crate::session::Session;
use stepwell_train::model::config::{Ffn, ModelConfig};
use stepwell_workflow::diagnostic::grouped;

pub fn describe(session: &Session, name: &str) -> Result<(), CliError> {
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
