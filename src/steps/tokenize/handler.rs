//! The handler. What the tokens are depends on documents and tokenizer only; when checkpoints are taken, and where
//! attempts were interrupted, never shows in the result.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::encoder::Encoder;
use super::pieces::{PIECE_BYTES, split_piece};
use super::shard::{Shard, Span};
use crate::core::artifact::{ArtifactRef, Outputs};
use crate::core::failure::Failure;
use crate::core::protocol::Progress;
use crate::steps::corpus_documents::{Document, DocumentReader, document_files, total_size};
use crate::steps::handler::{StepContext, StepError, StepHandler};

/// The `tokenize` step kind.
pub struct Tokenize;
pub static TOKENIZE: Tokenize = Tokenize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Documents, or a tree of shards of them.
    documents: ArtifactRef,
    /// Number of the shard to encode; all of them, one after the other, when it is left out.
    #[serde(default)]
    shard: Option<usize>,
    /// Output `tokenizer` of `tokenizer.train`.
    tokenizer: ArtifactRef,
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

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        run_with(context, Pace::default())
    }
}

/// How much is done at once, and when a checkpoint is due: after so many documents or so much time.
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
            batch_bytes: 16 * PIECE_BYTES,
            piece_bytes: PIECE_BYTES,
            checkpoint_documents: 2000,
            checkpoint_time: Duration::from_secs(5),
        }
    }
}

pub(super) fn run_with(context: &mut StepContext<'_>, pace: Pace) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let encoder = Encoder::load(&context.artifacts.read(&arguments.tokenizer).map_err(Failure::from)?)?;
    let files = document_files(context.artifacts, &arguments.documents, arguments.shard)?;
    let total = total_size(&files)?;
    let mut shard = Shard::open(context, encoder.width())?;
    let mut source = Source::open(files, &shard)?;
    let mut saved = (shard.cursor, Instant::now());
    loop {
        let batch = source.next_batch(pace)?;
        if batch.is_empty() {
            break;
        }
        let texts: Vec<&str> = batch.iter().map(|(_, text)| text.as_str()).collect();
        for ((span, _), ids) in batch.iter().zip(encoder.encode(&texts)?) {
            shard.append(&encoder, *span, &ids)?;
        }
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
    let artifact = shard.publish(context, &encoder)?;
    Ok(Outputs {
        artifacts: BTreeMap::from([("tokens".to_owned(), artifact)]),
        values: Map::from_iter([
            ("tokens".to_owned(), json!(cursor.tokens)),
            ("documents".to_owned(), json!(cursor.documents)),
            ("text_bytes".to_owned(), json!(cursor.text_bytes)),
        ]),
    })
}

/// The text that is not encoded yet, in pieces.
struct Source {
    reader: DocumentReader,
    /// The document being cut to pieces, and where the next piece starts.
    current: Option<(Document, usize)>,
}

impl Source {
    fn open(files: Vec<std::path::PathBuf>, shard: &Shard) -> Result<Source, Failure> {
        let mut reader = DocumentReader::new(files);
        reader.skip_documents(shard.cursor.documents)?;
        let mut source = Source { reader, current: None };
        if shard.cursor.text_offset > 0 {
            let offset = usize::try_from(shard.cursor.text_offset).unwrap_or(usize::MAX);
            let document = source.reader.next_document()?.filter(|document| document.text.is_char_boundary(offset));
            let document = document.ok_or_else(|| Failure::fatal("the documents are not those of the checkpoint"))?;
            source.current = Some((document, offset));
        }
        Ok(source)
    }

    fn next_batch(&mut self, pace: Pace) -> Result<Vec<(Span, String)>, Failure> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < pace.batch_bytes {
            let current = match self.current.take() {
                Some(current) => Some(current),
                None => self.reader.next_document()?.map(|document| (document, 0)),
            };
            let Some((document, start)) = current else { break };
            let (piece, rest) = split_piece(&document.text[start..], pace.piece_bytes);
            let span = Span { text_bytes: piece.len() as u64, first: start == 0, last: rest.is_empty() };
            // An empty document still costs its line, so that batches of them end, too.
            bytes += piece.len() + 1;
            let end = start + piece.len();
            batch.push((span, piece.to_owned()));
            if !span.last {
                self.current = Some((document, end));
            }
        }
        Ok(batch)
    }
}
