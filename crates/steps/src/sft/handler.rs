//! Runs the step. The tokens depend only on rows and model.

use std::fs::File;
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::arguments::{Arguments, OnBadRow};
use super::example_encoder::ExampleEncoder;
use super::lines::Lines;
use super::refused::RefusedRows;
use super::token_writer::TokenWriter;
use crate::finding::Finding;
use crate::handler::{Highlight, StepContext, StepError, StepHandler, Surroundings, arguments};
use crate::infer::{Source, digest_of, missing_sources, model_files_at};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::token_file::Unit;
use stepwell_models::{Model, ModelFiles};
use stepwell_workflow::catalog::{Given, Gives};

pub struct SftTokenize;
pub static SFT_TOKENIZE: SftTokenize = SftTokenize;

/// Rows that are encoded at once.
const AT_ONCE: usize = 512;

impl StepHandler for SftTokenize {
    fn kind(&self) -> &'static str {
        "sft.tokenize"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "encode examples of prompts and answers, of which only the answers are learned"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("tokens", "token file with a mask"), ("report", "JSON: rows that were refused")]),
            values: Given::Named(&[
                ("rows", "number of rows"),
                ("examples", "rows that are learned"),
                ("refused", "rows that are not"),
                ("tokens", "tokens of all examples"),
                ("learned_tokens", "tokens of their answers"),
                ("ends_learned", "examples whose last answer ends with a token that ends a text"),
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
        let model = Model::from_files(&files).map_err(unusable)?;
        let encoder = ExampleEncoder::new(&model)?;
        let path = match &arguments.rows {
            Source::Output(artifact) => context.artifacts.verified_path(artifact)?,
            Source::Path(path) => project.join(path),
        };
        let name = match &arguments.rows {
            Source::Output(_) => "the output".to_owned(),
            Source::Path(path) => format!("`{path}`"),
        };
        let mut lines = Lines::open(&path)?;
        let mut writer = TokenWriter::create(context, encoder.vocabulary, Unit::Document)?;
        let (mut refused, mut rows, mut ends) = (RefusedRows::default(), 0, 0);
        loop {
            let batch = lines.next(AT_ONCE)?;
            if batch.is_empty() {
                break;
            }
            let encoded: Vec<_> = batch.par_iter().map(|(number, line)| (*number, encoder.encode(line))).collect();
            for (number, encoded) in encoded {
                rows += 1;
                match encoded {
                    Ok(found) => {
                        ends += u64::from(found.ends);
                        writer.append(&found.example, found.text_bytes)?;
                    }
                    Err(why) => refused.add(number, &why),
                }
            }
            context.report(lines.read, lines.bytes, "bytes", format!("{rows} rows, {} tokens", writer.tokens))?;
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
        if writer.documents == 0 {
            let failure = Failure::fatal(format!("{name} has no row that can be learned"));
            return Err(failure.with_hint("each line needs `messages`, or `prompt` and `completion`").into());
        }
        if ends < writer.documents {
            let message = format!(
                "{} of {} examples do not end with a token that ends a text: the model would not learn to stop",
                writer.documents - ends,
                writer.documents
            );
            return Err(Failure::fatal(message)
                .with_hint("the chat template must put the end token of `generation_config.json` behind each answer")
                .into());
        }
        let values = json!({
            "rows": rows, "examples": writer.documents, "refused": refused.count(), "tokens": writer.tokens,
            "learned_tokens": writer.learned, "ends_learned": ends,
        });
        let report = context.publish_json("the report", &json!({ "schema": 1, "refused": refused.value() }))?;
        let tokens = writer.publish(context)?;
        Ok(Outputs::of([("tokens", tokens), ("report", report)], values))
    }
}

/// Digests of the rows and of the model, if they are named by their paths.
///
/// # Errors
/// When a file cannot be read.
pub fn fingerprint_of(arguments: &Arguments, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
    let mut digests = Map::new();
    if let Some(path) = arguments.rows_path(surroundings.project) {
        let mut hasher = blake3::Hasher::new();
        let read = File::open(&path).and_then(|file| hasher.update_reader(file).map(drop));
        read.map_err(|error| Failure::io(format!("cannot read `{}`", path.display()), &error))?;
        digests.insert("rows".to_owned(), json!(hasher.finalize().to_hex().as_str()));
    }
    if let Some(path) = arguments.model.path(surroundings.project) {
        let files = ModelFiles::at(&path).map_err(unusable)?;
        digests.insert("model".to_owned(), json!(digest_of(&files)?));
    }
    Ok(Value::Object(digests))
}

fn unusable(error: stepwell_models::ModelError) -> Failure {
    let hint = error.hint();
    Failure::from_error(FailureKind::Fatal, &error).with_hint(hint)
}
