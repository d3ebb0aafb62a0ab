//! Reads the remaining text in pieces, encodes them, and checks some of them against the library.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::encoder::Encoder;
use super::handler::Pace;
use super::pieces::split_piece;
use super::shard::{Cursor, Span};
use crate::corpus_documents::{Document, DocumentReader};
use stepwell_base::failure::Failure;
use stepwell_base::rng::derive_seed;

/// The first piece of each of this many documents is checked, and later pieces at the rate of one in
/// `CHECKED_ONE_IN`.
const CHECKED_FIRST: u64 = 16;
const CHECKED_ONE_IN: u64 = 100;

pub struct Piece {
    document: Arc<Document>,
    /// Index of the document in its shard, from 0.
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

    /// Depends only on the piece's place in the shard, so every attempt checks the same pieces.
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

/// Encodes the pieces on all cores and returns the token ids of each, in order.
///
/// # Errors
/// Those of the first piece that cannot be encoded, or that is checked and has other ids than from the library.
pub fn encode(encoder: &Encoder, batch: &[Piece]) -> Result<Vec<Vec<u32>>, Failure> {
    let encoded: Vec<_> = batch.par_iter().map(|piece| piece.encode(encoder)).collect();
    encoded.into_iter().collect()
}

pub struct Source {
    pub reader: DocumentReader,
    /// The document being cut, with the byte offset of its next piece.
    current: Option<(Arc<Document>, usize)>,
    /// Documents read, including skipped ones.
    documents: u64,
}

impl Source {
    /// Continues at the cursor of a shard.
    ///
    /// # Errors
    /// When the documents cannot be read, or do not match the cursor.
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

    /// Returns the next pieces; an empty list at the end.
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
            // The extra byte limits a batch of empty documents.
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
