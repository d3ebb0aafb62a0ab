//! `preferences.tokenize`: prompts with two answers, or with one and a label, become tokens.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::answers::{Answers, read};
use crate::finding::Finding;
use crate::handler::{Highlight, StepContext, StepError, StepHandler, Surroundings, arguments};
use crate::infer::{Source, missing_sources, model_files_at};
use crate::sft::{
    Arguments, Encoded, ExampleEncoder, ExampleLines, OnBadRow, RefusedRows, TokenWriter, fingerprint_of,
};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::token_file::Unit;
use stepwell_models::Model;
use stepwell_workflow::catalog::{Given, Gives};

pub struct PreferencesTokenize;
pub static PREFERENCES_TOKENIZE: PreferencesTokenize = PreferencesTokenize;

/// Rows that are encoded at once.
const AT_ONCE: usize = 256;

/// A line in tokens.
enum Tokens {
    Pair([Encoded; 2]),
    Labelled(Encoded, bool),
}

impl StepHandler for PreferencesTokenize {
    fn kind(&self) -> &'static str {
        "preferences.tokenize"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "encode prompts with a chosen and a rejected answer, or with one answer and a label"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("tokens", "token file: a chosen and a rejected answer in turn, or answers with a label"),
                ("report", "JSON: rows that were refused"),
            ]),
            values: Given::Named(&[
                ("rows", "number of rows"),
                ("pairs", "rows with two answers; 0 of rows with a label"),
                ("refused", "rows that are not learned"),
                ("tokens", "tokens of all answers, each with its prompt"),
                ("chosen_tokens", "tokens of chosen or desirable answers"),
                ("rejected_tokens", "tokens of rejected or undesirable answers"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        fingerprint_of(&arguments(with)?, surroundings)
    }

    fn look_ahead(&self, with: &Map<String, Value>, project: &Path) -> Vec<Finding> {
        missing_sources(with, project, &["model", "rows"])
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let project = context.request.project_dir.clone();
        let files = model_files_at((&arguments.model, arguments.tokenizer.as_ref()), context.artifacts, &project)?;
        let model = Model::from_files(&files).map_err(|error| {
            let hint = error.hint();
            Failure::from_error(FailureKind::Fatal, &error).with_hint(hint)
        })?;
        let encoder = ExampleEncoder::new(&model)?;
        let (path, name) = match &arguments.rows {
            Source::Output(artifact) => (context.artifacts.verified_path(artifact)?, "the output".to_owned()),
            Source::Path(path) => (project.join(path), format!("`{path}`")),
        };
        let mut lines = ExampleLines::open(&path)?;
        let mut writer: Option<TokenWriter> = None;
        let (mut refused, mut rows, mut learned) = (RefusedRows::default(), 0u64, [0u64; 2]);
        loop {
            let batch = lines.next(AT_ONCE)?;
            if batch.is_empty() {
                break;
            }
            let encoded: Vec<_> = batch.par_iter().map(|(number, line)| (*number, encode(&encoder, line))).collect();
            for (number, encoded) in encoded {
                rows += 1;
                let tokens = match encoded {
                    Ok(tokens) => tokens,
                    Err(why) => {
                        refused.add(number, &why);
                        continue;
                    }
                };
                let unit = tokens.unit();
                let writer = match &mut writer {
                    Some(writer) => writer,
                    none => none.insert(TokenWriter::create(context, encoder.vocabulary(), unit)?),
                };
                if writer.unit() != unit {
                    refused.add(number, "it has a label where other rows have two answers, or the other way round");
                    continue;
                }
                tokens.write(writer, &mut learned)?;
            }
            let tokens = writer.as_ref().map_or(0, |writer| writer.tokens);
            context.report(lines.read, lines.bytes, "bytes", format!("{rows} rows, {tokens} tokens"))?;
        }
        let read = lines.digest();
        if context.request.fingerprint.get("rows").is_some_and(|expected| *expected != json!(read)) {
            return Err(Failure::fatal(format!("{name} changed while it was read"))
                .with_hint("`stepwell retry` reads it as it is now")
                .into());
        }
        if refused.count() > 0 && arguments.on_bad_row == OnBadRow::Fail {
            return Err(refused.failure(&name, rows).into());
        }
        for line in refused.lines() {
            context.reporter.note(line);
        }
        let Some(writer) = writer else {
            let failure = Failure::fatal(format!("{name} has no row that can be learned"));
            return Err(failure
                .with_hint("each line needs `prompt`, `chosen` and `rejected`, or `prompt`, `completion` and `label`")
                .into());
        };
        let pairs = if writer.unit() == Unit::Pair { writer.documents / 2 } else { 0 };
        let values = json!({
            "rows": rows, "pairs": pairs, "refused": refused.count(), "tokens": writer.tokens,
            "chosen_tokens": learned[0], "rejected_tokens": learned[1],
        });
        let report = context.publish_json("the report", &json!({ "schema": 1, "refused": refused.value() }))?;
        let tokens = writer.publish(context)?;
        Ok(Outputs::of([("tokens", tokens), ("report", report)], values))
    }
}

fn encode(encoder: &ExampleEncoder<'_>, line: &[u8]) -> Result<Tokens, String> {
    let answer = |field: &str, row| {
        let encoded = encoder.encode_row(row).map_err(|problem| format!("`{field}`: {problem}"))?;
        if encoded.ends {
            Ok(encoded)
        } else {
            Err(format!("`{field}` does not end with a token that ends a text: the model would not learn to stop"))
        }
    };
    match read(line).map_err(|error| error.to_string())? {
        Answers::Pair { chosen, rejected } => {
            Ok(Tokens::Pair([answer("chosen", &chosen)?, answer("rejected", &rejected)?]))
        }
        Answers::Labelled { answer: row, desirable } => Ok(Tokens::Labelled(answer("completion", &row)?, desirable)),
    }
}

impl Tokens {
    fn unit(&self) -> Unit {
        match self {
            Tokens::Pair(_) => Unit::Pair,
            Tokens::Labelled(..) => Unit::Labelled,
        }
    }

    /// Appends the answers, and counts the learned tokens of good and bad ones.
    fn write(self, writer: &mut TokenWriter, learned: &mut [u64; 2]) -> Result<(), Failure> {
        let count = |encoded: &Encoded| encoded.example.learned.iter().filter(|learned| **learned).count() as u64;
        match self {
            Tokens::Pair(pair) => {
                for (encoded, learned) in pair.iter().zip(learned) {
                    *learned += count(encoded);
                    writer.append(&encoded.example, encoded.text_bytes)?;
                }
            }
            Tokens::Labelled(mut encoded, desirable) => {
                learned[usize::from(!desirable)] += count(&encoded);
                // The first token is never a target: its bit is the label.
                if let Some(first) = encoded.example.learned.first_mut() {
                    *first = desirable;
                }
                writer.append(&encoded.example, encoded.text_bytes)?;
            }
        }
        Ok(())
    }
}
