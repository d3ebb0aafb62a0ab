//! The growing token file of one shard: the position of the attempt, and how it continues from a checkpoint.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::encoder::Encoder;
use crate::corpus_documents::write_failure;
use crate::handler::StepContext;
use crate::partial::{FileState, GrowingFile, ResumeError};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::token_file::{Header, MEDIA_TYPE, Unit, Width};

/// Position up to which the shard is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Number of complete documents.
    pub documents: u64,
    /// Bytes of the next document's text that are already encoded.
    pub text_offset: u64,
    pub tokens: u64,
    /// Bytes of all encoded text.
    pub text_bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct State {
    cursor: Cursor,
    tokens: FileState,
    document_ends: FileState,
}

/// A part of a document to append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub text_bytes: u64,
    pub first: bool,
    pub last: bool,
}

pub struct Shard {
    pub cursor: Cursor,
    width: Width,
    tokens: GrowingFile,
    document_ends: GrowingFile,
}

const TOKENS: &str = "tokens.partial";
const DOCUMENT_ENDS: &str = "document-ends.partial";

impl Shard {
    /// Continues from the newest checkpoint whose files are sound, or starts over with a note.
    pub fn open(context: &mut StepContext<'_>, width: Width) -> Result<Shard, Failure> {
        for checkpoint in &context.request.checkpoints {
            match Shard::resume(context.scratch(), checkpoint, width) {
                Ok(shard) => return Ok(shard),
                Err(error) => {
                    let documents = checkpoint.last_doc_index.map_or(0, |index| index + 1);
                    context
                        .reporter
                        .note(format!("the checkpoint after {documents} documents cannot be used: {error}"));
                }
            }
        }
        if !context.request.checkpoints.is_empty() {
            context.reporter.note("no checkpoint can be used: tokenizing starts over".to_owned());
        }
        let create = |name| GrowingFile::create(&context.scratch().join(name));
        let failure = |error| write_failure("the partial token file", &error);
        Ok(Shard {
            cursor: Cursor::default(),
            width,
            tokens: create(TOKENS).map_err(failure)?,
            document_ends: create(DOCUMENT_ENDS).map_err(failure)?,
        })
    }

    fn resume(scratch: &Path, checkpoint: &Checkpoint, width: Width) -> Result<Shard, ResumeError> {
        let state: State = serde_json::from_value(checkpoint.state.clone()).map_err(|_| ResumeError::Damaged)?;
        let tokens = GrowingFile::resume(&scratch.join(TOKENS), &state.tokens)?;
        let document_ends = GrowingFile::resume(&scratch.join(DOCUMENT_ENDS), &state.document_ends)?;
        let consistent = state.tokens.bytes == state.cursor.tokens * width.bytes() as u64
            && state.document_ends.bytes == state.cursor.documents * 8;
        if !consistent {
            return Err(ResumeError::Damaged);
        }
        Ok(Shard { cursor: state.cursor, width, tokens, document_ends })
    }

    /// Appends the ids of one span of text, with `BOS` before a document and `EOS` after it.
    pub fn append(&mut self, encoder: &Encoder, span: Span, ids: &[u32]) -> Result<(), Failure> {
        let bos = span.first.then_some(&encoder.bos);
        let eos = span.last.then_some(&encoder.eos);
        let mut bytes = Vec::with_capacity((ids.len() + 2) * self.width.bytes());
        for id in bos.into_iter().chain(ids).chain(eos) {
            bytes.extend_from_slice(&id.to_le_bytes()[..self.width.bytes()]);
        }
        let failure = |error| write_failure("the partial token file", &error);
        self.tokens.append(&bytes).map_err(failure)?;
        self.cursor.tokens += (bytes.len() / self.width.bytes()) as u64;
        self.cursor.text_bytes += span.text_bytes;
        self.cursor.text_offset += span.text_bytes;
        if span.last {
            self.document_ends.append(&self.cursor.tokens.to_le_bytes()).map_err(failure)?;
            self.cursor.documents += 1;
            self.cursor.text_offset = 0;
        }
        Ok(())
    }

    /// Creates a checkpoint of everything appended so far, which is durable on return.
    pub fn checkpoint(&mut self) -> Result<Checkpoint, Failure> {
        let failure = |error| write_failure("the partial token file", &error);
        let state = State {
            cursor: self.cursor,
            tokens: self.tokens.sync().map_err(failure)?,
            document_ends: self.document_ends.sync().map_err(failure)?,
        };
        Ok(Checkpoint {
            artifact: None,
            state: serde_json::to_value(state)
                .map_err(|error| Failure::fatal(format!("cannot describe a checkpoint: {error}")))?,
            last_step: None,
            last_doc_index: self.cursor.documents.checked_sub(1),
            tokens_so_far: Some(self.cursor.tokens),
            loss: None,
            phase: None,
            permanent: false,
            keep: Some(1),
            ..Checkpoint::default()
        })
    }

    /// Publishes the complete token file.
    ///
    /// # Errors
    /// When the artifact store cannot be written, or something else changed the partial files.
    pub fn publish(self, context: &StepContext<'_>, encoder: &Encoder) -> Result<ArtifactRef, Failure> {
        let header = Header {
            width: self.width,
            documents: self.cursor.documents,
            tokens: self.cursor.tokens,
            text_bytes: self.cursor.text_bytes,
            bos: encoder.bos,
            eos: encoder.eos,
            vocab: encoder.vocab,
            masked: false,
            unit: Unit::Document,
        };
        let failure = |error| write_failure("the token file", &error);
        let mut out = BufWriter::new(context.artifacts.writer(MEDIA_TYPE)?);
        out.write_all(&header.encode()).map_err(failure)?;
        self.document_ends.copy_to(&mut out).map_err(failure)?;
        self.tokens.copy_to(&mut out).map_err(failure)?;
        let writer = out.into_inner().map_err(|error| write_failure("the token file", error.error()))?;
        Ok(writer.finish()?)
    }
}
