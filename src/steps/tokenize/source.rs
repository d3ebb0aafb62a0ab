//! The text that is not encoded yet, in pieces, and which of them are checked.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::encoder::Encoder;
use super::handler::Pace;
use super::pieces::split_piece;
use super::shard::{Cursor, Span};
use crate::core::failure::Failure;
use crate::core::rng::derive_seed;
use crate::steps::corpus_documents::{Document, DocumentReader};

/// The first documents of a shard are all checked against the library, later ones now and then.
const CHECKED_FIRST: u64 = 16;
const CHECKED_ONE_IN: u64 = 100;

/// A part of a document.
pub struct Piece {
    document: Arc<Document>,
    /// Of the document in its shard, from 0.
    number: u64,
    part: Range<usize>,
}

impl Piece {
    fn text(&self) -> &str {
        &self.document.text[self.part.clone()]
    }

    pub fn span(&self) -> Span {
        Span {
            text_bytes: self.part.len() as u64,
            first: self.part.start == 0,
            last: self.part.end == self.document.text.len(),
        }
    }

    /// The choice depends on where the piece stands in the shard only, so that another attempt makes the same.
    fn is_checked(&self) -> bool {
        let start = self.part.start as u64;
        self.number < CHECKED_FIRST && start == 0
            || derive_seed(self.number, "tokenize check", start).is_multiple_of(CHECKED_ONE_IN)
    }

    fn encode(&self, encoder: &Encoder) -> Result<Vec<u32>, Failure> {
        let ids = encoder.encode_text(self.text())?;
        if self.is_checked()
            && let Some(token) = encoder.first_difference(self.text(), &ids)?
        {
            let (number, id, start) = (self.number, &self.document.id, self.part.start);
            return Err(Failure::fatal(format!(
                "document {number} (`{id}`), text from byte {start} on: token {token} differs from that of the \
                 `tokenizers` library"
            ))
            .with_hint("set `encoder = \"tokenizers\"` in the step's `with`, and report the document as a bug"));
        }
        Ok(ids)
    }
}

/// Token ids of each piece, in order; on all cores.
///
/// # Errors
/// When a piece cannot be encoded, or a checked one has other ids than the library gives; the first one of them.
pub fn encode(encoder: &Encoder, batch: &[Piece]) -> Result<Vec<Vec<u32>>, Failure> {
    let encoded: Vec<_> = batch.par_iter().map(|piece| piece.encode(encoder)).collect();
    encoded.into_iter().collect()
}

pub struct Source {
    pub reader: DocumentReader,
    /// The document being cut to pieces, and where the next piece starts.
    current: Option<(Arc<Document>, usize)>,
    /// Documents read, with those passed over.
    documents: u64,
}

impl Source {
    /// Goes on where a shard stands.
    ///
    /// # Errors
    /// When the documents cannot be read, or end before that.
    pub fn open(files: Vec<PathBuf>, cursor: Cursor) -> Result<Source, Failure> {
        let mut reader = DocumentReader::new(files);
        reader.skip_documents(cursor.documents)?;
        let mut source = Source { reader, current: None, documents: cursor.documents };
        if cursor.text_offset > 0 {
            let offset = usize::try_from(cursor.text_offset).unwrap_or(usize::MAX);
            let document = source.next_document()?.filter(|document| document.text.is_char_boundary(offset));
            let document = document.ok_or_else(|| Failure::fatal("the documents are not those of the checkpoint"))?;
            source.current = Some((document, offset));
        }
        Ok(source)
    }

    fn next_document(&mut self) -> Result<Option<Arc<Document>>, Failure> {
        let document = self.reader.next_document()?;
        self.documents += u64::from(document.is_some());
        Ok(document.map(Arc::new))
    }

    /// The next pieces; none at the end.
    ///
    /// # Errors
    /// When a document cannot be read.
    pub fn next_batch(&mut self, pace: Pace) -> Result<Vec<Piece>, Failure> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < pace.batch_bytes {
            let current = match self.current.take() {
                Some(current) => Some(current),
                None => self.next_document()?.map(|document| (document, 0)),
            };
            let Some((document, start)) = current else { break };
            let (piece, rest) = split_piece(&document.text[start..], pace.piece_bytes);
            // An empty document still costs its line, so that batches of them end, too.
            bytes += piece.len() + 1;
            let end = start + piece.len();
            if !rest.is_empty() {
                self.current = Some((Arc::clone(&document), end));
            }
            batch.push(Piece { document, number: self.documents - 1, part: start..end });
        }
        Ok(batch)
    }
}
