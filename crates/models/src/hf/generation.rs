//! Special tokens and sampling defaults: `generation_config.json`, then `config.json`.

use serde_json::Value;

use crate::error::Problem;
use crate::source::Fields;
use crate::special::{GenerationDefaults, SpecialTokens};

/// Tokens that may end a text.
const MOST_ENDS: usize = 64;

/// # Errors
/// `Field` for an id outside of the vocabulary.
pub fn special(generation: Option<&Fields<'_>>, config: &Fields<'_>, vocab: usize) -> Result<SpecialTokens, Problem> {
    // A file of its own counts as a whole, as in `transformers`: what it does not name is not taken from elsewhere,
    // except when it names no end at all.
    let first = |name: &str| -> Result<Vec<u32>, Problem> {
        let own = generation.map(|fields| ids(fields, name, vocab)).transpose()?.unwrap_or_default();
        if own.is_empty() { ids(config, name, vocab) } else { Ok(own) }
    };
    Ok(SpecialTokens {
        bos: first("bos_token_id")?.first().copied(),
        eos: first("eos_token_id")?,
        pad: first("pad_token_id")?.first().copied(),
    })
}

fn ids(fields: &Fields<'_>, name: &str, vocab: usize) -> Result<Vec<u32>, Problem> {
    let list = match fields.get(name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MOST_ENDS => list.as_slice(),
        Some(one @ Value::Number(_)) => std::slice::from_ref(one),
        Some(_) => return Err(fields.problem(name, format!("must be a token id, or a list of at most {MOST_ENDS}"))),
    };
    let mut ids = Vec::new();
    for value in list {
        // -1 stands for no token in the first Llama files.
        if value.as_i64() == Some(-1) {
            continue;
        }
        let id = value.as_u64().filter(|id| *id < vocab as u64);
        let id =
            id.ok_or_else(|| fields.problem(name, format!("is {value}, and the vocabulary has {vocab} tokens")))?;
        if !ids.contains(&(id as u32)) {
            ids.push(id as u32);
        }
    }
    Ok(ids)
}

/// # Errors
/// `Field` for a value of a wrong type.
pub fn defaults(generation: Option<&Fields<'_>>, vocab: usize) -> Result<GenerationDefaults, Problem> {
    let Some(fields) = generation else { return Ok(GenerationDefaults::default()) };
    Ok(GenerationDefaults {
        sample: fields.flag("do_sample")?,
        temperature: fields.number("temperature", 0.0)?,
        top_p: fields.number("top_p", 0.0)?,
        top_k: fields.count("top_k", 0..=usize::MAX)?,
        min_p: fields.number("min_p", 0.0)?,
        repetition_penalty: fields.number("repetition_penalty", 0.0)?,
        suppressed: ids_of_any_number(fields, vocab)?,
    })
}

fn ids_of_any_number(fields: &Fields<'_>, vocab: usize) -> Result<Vec<u32>, Problem> {
    let name = "suppress_tokens";
    let Some(value) = fields.get(name) else { return Ok(Vec::new()) };
    let id = |value: &Value| value.as_u64().filter(|id| *id < vocab as u64).map(|id| id as u32);
    let ids = value.as_array().and_then(|list| list.iter().map(id).collect::<Option<Vec<u32>>>());
    ids.ok_or_else(|| fields.problem(name, "must be a list of token ids"))
}
