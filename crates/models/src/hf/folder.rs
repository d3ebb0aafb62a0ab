//! Reads a folder: configuration, weights, tokenizer, template.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::chat::ChatTemplate;
use crate::error::{ModelError, Problem};
use crate::model::Model;
use crate::source::{Fields, ModelFiles, object};
use crate::tokenizer::Tokenizer;

use super::{config, generation, shards};

pub const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Templates outside of `tokenizer_config.json`, as `transformers` 5 writes them.
const TEMPLATE: &str = "chat_template.jinja";

const CONFIG_BYTES: u64 = 4 << 20;
const TOKENIZER_BYTES: u64 = 256 << 20;
const TOKENIZER_CONFIG_BYTES: u64 = 64 << 20;

/// Names of the files that belong to the model in a folder.
///
/// # Errors
/// When there is no `config.json`, or the index of the weights is damaged.
pub fn file_names(files: &ModelFiles) -> Result<BTreeSet<String>, ModelError> {
    if !files.contains(CONFIG) {
        return Err(Problem::Missing.in_file(CONFIG));
    }
    let others = [CONFIG, GENERATION, TOKENIZER, TOKENIZER_CONFIG, TEMPLATE, "special_tokens_map.json"];
    Ok(others.into_iter().map(str::to_owned).chain(shards::names(files)?).collect())
}

/// # Errors
/// Everything that is missing, damaged or not known.
pub fn read(files: &ModelFiles) -> Result<Model, ModelError> {
    let config_map = read_object(files, CONFIG, CONFIG_BYTES)?.ok_or_else(|| Problem::Missing.in_file(CONFIG))?;
    let config = Fields::of(&config_map);
    let in_config = |problem: Problem| problem.in_file(CONFIG);
    let (shape, unknown) = config::shape(&config).map_err(in_config)?;
    let generation_map = read_object(files, GENERATION, CONFIG_BYTES)?;
    let generation = generation_map.as_ref().map(Fields::of);
    let in_generation = |problem: Problem| problem.in_file(GENERATION);
    let special = generation::special(generation.as_ref(), &config, shape.vocab).map_err(in_generation)?;
    let defaults = generation::defaults(generation.as_ref(), shape.vocab).map_err(in_generation)?;
    let weights = shards::open(files, &shape)?;
    let tokenizer = files.read(TOKENIZER, TOKENIZER_BYTES)?.ok_or_else(|| Problem::Missing.in_file(TOKENIZER))?;
    let tokenizer = Tokenizer::from_json(&tokenizer).map_err(|problem| problem.in_file(TOKENIZER))?;
    let tokenizer_config = read_object(files, TOKENIZER_CONFIG, TOKENIZER_CONFIG_BYTES)?.unwrap_or_default();
    let template = files.read(TEMPLATE, CONFIG_BYTES)?;
    let chat = ChatTemplate::read(template, &tokenizer_config, &tokenizer)
        .map_err(|problem| problem.in_file(TOKENIZER_CONFIG))?;
    let remarks = unknown.into_iter().map(|name| format!("{CONFIG}: `{name}` is not known and not used")).collect();
    Ok(Model { shape, special, defaults, tokenizer, chat, remarks, weights })
}

fn read_object(files: &ModelFiles, name: &str, bytes: u64) -> Result<Option<Map<String, Value>>, ModelError> {
    let text = files.read(name, bytes)?;
    text.map(|text| object(&text, bytes).map_err(|problem| problem.in_file(name))).transpose()
}
