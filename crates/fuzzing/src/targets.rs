//! Lists all targets.

use super::{commands, corpora, models, rows, settings, shown, stored, templates, tokens, workflows};

/// Reads bytes as outside data and panics when a property of the reader does not hold.
pub type Target = fn(&[u8]);

/// Each target has a file in `fuzz/fuzz_targets` and seeds in `fuzz/seeds`, both under its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("amounts", settings::amounts),
    ("chat_template", models::chat_template),
    #[cfg(feature = "train")]
    ("checkpoint", super::trained::checkpoint),
    ("columns", corpora::columns),
    ("command", commands::command),
    ("config", settings::config),
    ("decompress", corpora::decompress),
    ("encode", tokens::encode),
    ("gguf", models::gguf),
    ("head", stored::head),
    ("hints", shown::hints),
    ("import", corpora::import),
    ("manifest", stored::manifest),
    ("messages", commands::messages),
    ("model_config", models::model_config),
    ("names", shown::names),
    ("overrides", workflows::overrides),
    ("payload", commands::payload),
    ("provenance", stored::provenance),
    ("rows", rows::rows),
    ("safetensors", models::safetensors),
    ("schema", rows::schema),
    ("shown", shown::shown),
    ("template", templates::template),
    ("timetable", settings::timetable),
    ("token_file", tokens::token_file),
    ("tokenizer", tokens::tokenizer),
    #[cfg(feature = "train")]
    ("weights", super::trained::weights),
    ("workflow", workflows::workflow),
];

/// Runs one target.
///
/// # Panics
/// When a property does not hold, or the target does not exist.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("the target is in the list");
    target(data);
}
