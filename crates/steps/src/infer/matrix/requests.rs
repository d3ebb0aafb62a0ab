//! The requests of a cell: from a file, or made here.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::infer::table::Table;
use stepwell_base::failure::Failure;
use stepwell_batch::RowError;
use stepwell_batch::body::{Body, Endpoint};
use stepwell_batch::key::Identity;
use stepwell_batch::lines::{Limits, OnBadLine, Rules};

/// Words of the prompts that are made here.
const WORDS: [&str; 16] = [
    "the", "river", "runs", "under", "old", "stone", "while", "children", "count", "boats", "and", "birds", "until",
    "evening", "comes", "slowly",
];

pub(super) enum Requests {
    File(Table),
    /// Texts to continue, of so many words, each with so many tokens.
    Made {
        words: u64,
        tokens: u64,
    },
}

impl Requests {
    /// # Errors
    /// When the file cannot be read, or has no request.
    pub(super) fn read(path: &Path) -> Result<Requests, Failure> {
        let rules = Rules { limits: Limits::LOCAL, endpoint: None, models: Vec::new() };
        let identity = Identity { model: String::new(), template: String::new(), engine: String::new() };
        let table = Table::read(path, &rules, OnBadLine::Fail, &identity)?;
        Ok(Requests::File(table))
    }

    /// The request of this number with its seed; a file starts again after its last line.
    ///
    /// # Errors
    /// Outer: the file has changed. Inner: the body is wrong.
    pub(super) fn get(&self, number: u64) -> Result<Result<(Body, u64), RowError>, Failure> {
        match self {
            Requests::File(table) => {
                let row = usize::try_from(number).unwrap_or(0) % table.rows.len();
                let loaded = table.load(&table.rows[row])?;
                Ok(loaded.request().map(|body| {
                    let seed = body.options.seed.map_or_else(|| loaded.seed(), |seed| seed as u64);
                    (body, seed)
                }))
            }
            Requests::Made { words, tokens } => {
                Ok(Body::parse(Endpoint::Completions, made(number, *words, *tokens)).map(|body| (body, number)))
            }
        }
    }
}

/// A text of its own for each number, so that nothing is answered from the keys and values of another.
fn made(number: u64, words: u64, tokens: u64) -> Map<String, Value> {
    let mut text = format!("{number}:");
    for place in 0..words {
        text.push(' ');
        text.push_str(WORDS[((number + 7 * place + place * place / 3) % WORDS.len() as u64) as usize]);
    }
    let body = json!({ "model": "m", "prompt": text, "max_tokens": tokens, "temperature": 0, "ignore_eos": true });
    let Value::Object(body) = body else { return Map::new() };
    body
}
