//! Turns text into token ids. A cache of words makes this fast, because text mostly consists of few words.

use std::sync::Mutex;

use unicode_normalization::is_nfkc;

use super::form::{self, NotUnderstood, Rules};
use super::hash::FastMap;
use super::merges::{Merges, Scratch};
use super::words::{Words, is_left_to_library};

/// Most words in one `Memory`, which then takes about 6 MiB.
pub(super) const KNOWN_WORDS: usize = 1 << 16;

/// Longest word to remember, in bytes. Longer words are rare, and most of them occur once.
const LONGEST_KNOWN: usize = 64;

/// A byte-level BPE tokenizer with GPT-2's pre-tokenizer.
pub struct ByteBpe {
    rules: Rules,
    /// Caches that no thread uses. There are as many as threads ever encoded at the same time.
    idle: Mutex<Vec<Memory>>,
}

/// Cache of words with their tokens. Its content changes the speed of encoding, never the tokens.
#[derive(Default)]
struct Memory {
    /// Maps a word to the start and length of its tokens in `ids`.
    words: FastMap<Box<[u8]>, (u32, u32)>,
    ids: Vec<u32>,
    scratch: Scratch,
}

impl ByteBpe {
    /// Loads a tokenizer.
    ///
    /// # Errors
    /// When the tokenizer has another form than that of `tokenizer.train`.
    pub fn load(json: &[u8]) -> Result<ByteBpe, NotUnderstood> {
        Ok(ByteBpe { rules: form::read(json)?, idle: Mutex::default() })
    }

    /// Returns the token ids of a text, without special tokens. `None` if a word is left to the library, or the
    /// text must be normalised first.
    pub fn encode(&self, text: &str) -> Option<Vec<u32>> {
        if self.rules.nfkc && !is_nfkc(text) {
            return None;
        }
        // No panic is possible while the lock is held, so it is never poisoned.
        let mut memory = self.idle.lock().ok().and_then(|mut idle| idle.pop()).unwrap_or_default();
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut words = Words::new(text);
        let unclear = words.any(|word| {
            let clear = !is_left_to_library(word);
            if clear {
                memory.encode_word(&self.rules.merges, word.as_bytes(), &mut ids);
            }
            !clear
        });
        memory.scratch.shrink();
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(memory);
        }
        (!unclear).then_some(ids)
    }
}

#[cfg(test)]
impl ByteBpe {
    /// Scratch memory in bytes that is kept for the next text.
    pub fn kept_memory(&self) -> usize {
        self.idle
            .lock()
            .expect("no test panics while it has the lock")
            .iter()
            .map(|memory| memory.scratch.bytes())
            .sum()
    }
}

impl Memory {
    fn encode_word(&mut self, merges: &Merges, word: &[u8], ids: &mut Vec<u32>) {
        if let Some((start, length)) = self.words.get(word) {
            ids.extend_from_slice(&self.ids[*start as usize..][..*length as usize]);
            return;
        }
        let before = ids.len();
        merges.encode_word(word, &mut self.scratch, ids);
        if word.len() <= LONGEST_KNOWN && self.words.len() < KNOWN_WORDS {
            self.words.insert(word.into(), (self.ids.len() as u32, (ids.len() - before) as u32));
            self.ids.extend_from_slice(&ids[before..]);
        }
    }
}
