//! Tokens of an example for training.

use std::ops::Range;

use tokenizers::Encoding;

use crate::error::Problem;

/// The tokens of a prompt and its answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Example {
    pub ids: Vec<u32>,
    /// For each token, true when it belongs to an answer.
    pub learned: Vec<bool>,
}

impl Example {
    /// `learned` are the parts of `text`, in bytes and in order, that are answers.
    ///
    /// # Errors
    /// `Boundary` for a token that lies in two parts.
    pub(super) fn of(encoding: &Encoding, text: &str, learned: &[Range<usize>]) -> Result<Example, Problem> {
        let mut example = Example { ids: encoding.get_ids().to_vec(), learned: Vec::with_capacity(encoding.len()) };
        let mut parts = learned.iter().peekable();
        for (start, end) in encoding.get_offsets() {
            while parts.next_if(|part| part.end <= *start).is_some() {}
            let is_learned = match parts.peek() {
                Some(part) if part.start < *end => {
                    if *start < part.start || *end > part.end {
                        return Err(Problem::Boundary(text.get(*start..*end).unwrap_or_default().to_owned()));
                    }
                    true
                }
                _ => false,
            };
            example.learned.push(is_learned);
        }
        Ok(example)
    }

    /// Puts tokens in front that are not learned.
    pub(super) fn start_with(&mut self, ids: &[u32]) {
        self.ids.splice(..0, ids.iter().copied());
        self.learned.splice(..0, ids.iter().map(|_| false));
    }
}
