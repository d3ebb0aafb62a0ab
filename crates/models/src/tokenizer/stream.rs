//! Decodes token by token. A character may take several tokens, and is given once it is complete.

use crate::error::Problem;

use super::codec::Tokenizer;

/// Tokens that may wait for the end of a character. A character has at most four bytes, but a model may also produce
/// U+FFFD itself, many times.
const MOST_PENDING: usize = 64;
/// What decoders make of an incomplete character.
const INCOMPLETE: char = '\u{fffd}';

/// Text of a growing list of tokens.
#[derive(Debug)]
pub struct TokenStream<'t> {
    tokenizer: &'t Tokenizer,
    /// Tokens of text that was given, as context, because a decoder may treat the start of a text in its own way; then
    /// the pending tokens.
    ids: Vec<u32>,
    /// Number of tokens in `ids` that are context.
    context: usize,
    /// Bytes of the text of the pending tokens that were given already.
    given: usize,
}

impl<'t> TokenStream<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer) -> Self {
        TokenStream { tokenizer, ids: Vec::new(), context: 0, given: 0 }
    }

    /// Adds a token and returns the text that is complete now, often empty.
    ///
    /// # Errors
    /// `Encoding` when the library fails.
    pub fn push(&mut self, id: u32) -> Result<String, Problem> {
        self.ids.push(id);
        let text = self.pending_text()?;
        let full = self.ids.len() - self.context >= MOST_PENDING;
        let complete = if full { text.len() } else { text.trim_end_matches(INCOMPLETE).len() };
        let new = text.get(self.given..complete).unwrap_or_default().to_owned();
        if complete == text.len() && !text.is_empty() {
            self.ids.drain(..self.context);
            (self.context, self.given) = (self.ids.len(), 0);
        } else {
            self.given = self.given.max(complete);
        }
        Ok(new)
    }

    /// Returns the rest, with U+FFFD for an incomplete character.
    ///
    /// # Errors
    /// `Encoding` when the library fails.
    pub fn finish(self) -> Result<String, Problem> {
        let text = self.pending_text()?;
        Ok(text.get(self.given..).unwrap_or_default().to_owned())
    }

    fn pending_text(&self) -> Result<String, Problem> {
        let before = self.tokenizer.decode(&self.ids[..self.context])?;
        let mut all = self.tokenizer.decode(&self.ids)?;
        // A decoder that changed the text before it would be wrong either way; what is longer is then the new text.
        let start = if all.starts_with(&before) { before.len() } else { all.floor_char_boundary(before.len()) };
        Ok(all.split_off(start))
    }
}
