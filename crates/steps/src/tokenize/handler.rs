//! Runs the step. The tokens depend only on documents and tokenizer: the times of checkpoints and interruptions
//! never show in the result.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::encoder::{Encoder, Method};
use super::pieces::PIECE_BYTES;
use super::shard::Shard;
use super::source::{self, Source};
use crate::corpus_documents::{document_files, total_size};
use crate::handler::{StepContext, StepError, StepHandler};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_base::protocol::Progress;
use stepwell_workflow::catalog::{Given, Gives};

pub struct Tokenize;
pub static TOKENIZE: Tokenize = Tokenize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Documents in one file, or in a tree of shards.
    documents: ArtifactRef,
    /// Number of the shard to encode. Default: all shards, one after another.
    #[serde(default)]
    shard: Option<usize>,
    /// Output `tokenizer` of a `tokenizer.train` step.
    tokenizer: ArtifactRef,
    /// Encoder to use. `tokenizers` gives the same ids but takes many times as long.
    #[serde(default)]
    encoder: Method,
}

impl StepHandler for Tokenize {
    fn kind(&self) -> &'static str {
        "tokenize"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "encode documents to a token file"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("tokens", "token file")]),
            values: Given::Named(&[
                ("tokens", "number of tokens"),
                ("documents", "number of documents"),
                ("text_bytes", "bytes of their text"),
            ]),
        }
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        run_with(context, Pace::default())
    }
}

/// Amount of work at once, and documents or time after which a checkpoint is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes of text encoded at once.
    pub batch_bytes: usize,
    pub piece_bytes: usize,
    pub checkpoint_documents: u64,
    pub checkpoint_time: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            batch_bytes: 64 * PIECE_BYTES,
            piece_bytes: PIECE_BYTES,
            checkpoint_documents: 2000,
            checkpoint_time: Duration::from_secs(5),
        }
    }
}

pub(super) fn run_with(context: &mut StepContext<'_>, pace: Pace) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let encoder = Encoder::load(&context.artifacts.read(&arguments.tokenizer)?, arguments.encoder)?;
    if let Some(why) = encoder.not_understood() {
        context
            .reporter
            .note(format!("the `tokenizers` library encodes, slowly, since the tokenizer is not ours: {why}"));
    }
    let files = document_files(context.artifacts, &arguments.documents, arguments.shard)?;
    write_shard(context, pace, &encoder, files)
}

pub(super) fn write_shard(
    context: &mut StepContext<'_>,
    pace: Pace,
    encoder: &Encoder,
    files: Vec<PathBuf>,
) -> Result<Outputs, StepError> {
    let total = total_size(&files)?;
    let mut shard = Shard::open(context, encoder.width())?;
    let mut source = Source::open(files, shard.cursor)?;
    let mut saved = (shard.cursor, Instant::now());
    let mut batch = source.next_batch(pace)?;
    while !batch.is_empty() {
        // The next batch is read while this one is encoded.
        let (encoded, next) = rayon::join(|| source::encode(encoder, &batch), || source.next_batch(pace));
        for (piece, ids) in batch.iter().zip(encoded?) {
            shard.append(encoder, piece.span(), &ids)?;
        }
        batch = next?;
        let interrupted = context.check_interrupt();
        let due = shard.cursor.documents - saved.0.documents >= pace.checkpoint_documents
            || saved.1.elapsed() >= pace.checkpoint_time;
        if (due || interrupted.is_err()) && shard.cursor != saved.0 {
            context.reporter.checkpoint(shard.checkpoint()?)?;
            saved = (shard.cursor, Instant::now());
        }
        interrupted?;
        let message = format!("{} documents, {} tokens", shard.cursor.documents, shard.cursor.tokens);
        let done = source.reader.bytes_read();
        context.reporter.progress(Progress { done, total, unit: "bytes".to_owned(), message });
    }
    if shard.cursor.documents == 0 {
        return Err(Failure::fatal("there is no document to tokenize")
            .with_hint("check the output of `corpus.clean`")
            .into());
    }
    let cursor = shard.cursor;
    let artifact = shard.publish(context, encoder)?;
    let values = json!({ "tokens": cursor.tokens, "documents": cursor.documents, "text_bytes": cursor.text_bytes });
    Ok(Outputs::of([("tokens", artifact)], values))
}
