//! `stepwell data preview ROWS --model MODEL`: what a tuning learns of each row.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::drive::model_source::{find_model, model_files};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::visible::visible;
use stepwell_models::Model;
use stepwell_steps::{Encoded, ExampleEncoder, ExampleLines};

/// Lines that are read at once.
const AT_ONCE: usize = 256;
/// Green.
const LEARNED: (&str, &str) = ("\x1b[32m", "\x1b[0m");

/// Look at examples before they are learned
#[derive(Subcommand, Debug)]
pub enum DataVerb {
    Preview(PreviewArgs),
}

/// Print rows as tokens, and which of them are learned
///
/// Tokens are separated by `|`. What is learned is green in a terminal, and between `[[` and `]]` elsewhere: the answers
/// with their ends, and nothing of the prompts. A row that cannot be learned says why.
#[derive(Args, Debug)]
pub struct PreviewArgs {
    /// JSON lines with `messages`, or with `prompt` and `completion`
    #[arg(value_name = "ROWS")]
    pub rows: PathBuf,
    /// Hugging Face folder, GGUF file, run with a model (also `WORKFLOW@last`), or output RUN/STEP/NAME
    #[arg(long, short, value_name = "MODEL")]
    pub model: String,
    /// Number of rows
    #[arg(short = 'n', long = "limit", value_name = "N", default_value = "3")]
    pub limit: NonZeroUsize,
    /// First line of the file to print
    #[arg(long, value_name = "LINE", default_value_t = 1)]
    pub from: u64,
}

pub fn data(session: &Session, verb: &DataVerb) -> Result<Exit, CliError> {
    let DataVerb::Preview(args) = verb;
    let source = find_model(session, &args.model)?;
    let model = Model::from_files(&model_files(session, &source)?).map_err(CliError::failed)?;
    let encoder = ExampleEncoder::new(&model)?;
    let mut lines = ExampleLines::open(&args.rows)?;
    let mut rows = Vec::new();
    'rows: loop {
        let batch = lines.next(AT_ONCE)?;
        if batch.is_empty() {
            break;
        }
        for (number, line) in batch.into_iter().filter(|(number, _)| *number >= args.from) {
            rows.push((number, encoder.encode(&line)));
            if rows.len() == args.limit.get() {
                break 'rows;
            }
        }
    }
    let in_color = session.out.document_color() == stepwell_workflow::diagnostic::Color::Ansi;
    let human: Vec<String> = rows.iter().map(|(number, row)| shown(&model, *number, row, in_color)).collect();
    let value: Vec<Value> = rows.iter().map(|(number, row)| described(&model, *number, row)).collect();
    if session.out.is_json() {
        session.out.document("", json!({ "rows": value }))?;
    } else {
        session.out.raw((human.join("\n\n") + "\n").as_bytes())?;
    }
    Ok(Exit::Ok)
}

/// Text of a token: the name of a special one.
fn text(model: &Model, id: u32) -> String {
    match model.tokenizer.is_special(id) {
        true => model.tokenizer.name_of(id).unwrap_or_default(),
        false => String::from_utf8_lossy(&model.tokenizer.token_bytes(id)).into_owned(),
    }
}

fn shown(model: &Model, number: u64, row: &Result<Encoded, String>, in_color: bool) -> String {
    let Encoded { example, .. } = match row {
        Ok(encoded) => encoded,
        Err(why) => return format!("line {number} cannot be learned: {}", visible(why)),
    };
    let learned = example.learned.iter().filter(|learned| **learned).count();
    let mut shown = format!("line {number}: {} tokens, {learned} learned\n", example.ids.len());
    let (open, close) = if in_color { LEARNED } else { ("[[", "]]") };
    let tokens: Vec<(u32, bool)> = example.ids.iter().copied().zip(example.learned.iter().copied()).collect();
    for (place, part) in tokens.chunk_by(|one, other| one.1 == other.1).enumerate() {
        let texts: Vec<String> =
            part.iter().map(|(id, _)| visible(&text(model, *id).replace('\n', "\\n")).into_owned()).collect();
        let texts = texts.join("|");
        let between = if place == 0 { "" } else { "|" };
        match part[0].1 {
            true => shown.push_str(&format!("{between}{open}{texts}{close}")),
            false => shown.push_str(&format!("{between}{texts}")),
        }
    }
    shown
}

fn described(model: &Model, number: u64, row: &Result<Encoded, String>) -> Value {
    match row {
        Err(why) => json!({ "line": number, "refused": why }),
        Ok(Encoded { example, ends, .. }) => {
            let tokens = example.ids.iter().zip(&example.learned);
            let tokens: Vec<Value> =
                tokens.map(|(id, learned)| json!({ "id": id, "text": text(model, *id), "learned": learned })).collect();
            json!({ "line": number, "ends": ends, "tokens": tokens })
        }
    }
}
