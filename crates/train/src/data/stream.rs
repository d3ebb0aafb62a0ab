//! Several token files as one long stream of tokens.

use std::ops::Range;

use super::error::DataError;
use super::shard::TokenShard;
use stepwell_base::token_file::Header;

/// Documents of all shards, one after another, in the given order of the shards.
pub struct TokenStream {
    shards: Vec<TokenShard>,
    /// Start of each shard in the stream, in tokens; one more entry for the end.
    starts: Vec<u64>,
    longest: u64,
}

impl TokenStream {
    /// Joins the shards in the given order.
    ///
    /// # Errors
    /// [`DataError::Empty`] when there is no token at all, [`DataError::Mismatch`] when the shards come from
    /// different tokenizers.
    pub fn new(shards: Vec<TokenShard>) -> Result<Self, DataError> {
        let mut starts = vec![0];
        let (mut end, mut longest) = (0, 0);
        for shard in &shards {
            same_tokenizer(&shards[0], shard)?;
            end += shard.header().tokens;
            starts.push(end);
            let mut previous = 0;
            for document in 0..shard.header().documents {
                let document_end = shard.document_end(document);
                longest = longest.max(document_end - previous);
                previous = document_end;
            }
        }
        if end == 0 { Err(DataError::Empty) } else { Ok(TokenStream { shards, starts, longest }) }
    }

    /// Header of the first shard; `vocab`, `bos` and `eos` are the same in every shard.
    pub fn header(&self) -> &Header {
        self.shards[0].header()
    }

    pub fn tokens(&self) -> u64 {
        self.starts[self.shards.len()]
    }

    pub fn documents(&self) -> u64 {
        self.shards.iter().map(|shard| shard.header().documents).sum()
    }

    /// UTF-8 bytes of the text that the tokens encode.
    pub fn text_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.header().text_bytes).sum()
    }

    /// Tokens of the longest document, BOS and EOS included.
    pub fn longest_document(&self) -> u64 {
        self.longest
    }

    /// Appends the tokens of `range` to `out`.
    ///
    /// # Panics
    /// When the range reaches past the end of the stream.
    pub fn read(&self, range: Range<u64>, out: &mut Vec<u32>) {
        for (shard, part) in self.parts(range) {
            self.shards[shard].read(part.start, part.end, out);
        }
    }

    /// Number of occurrences of each token of the vocabulary; ids outside it are left out.
    pub fn token_counts(&self) -> Vec<u64> {
        const CHUNK: u64 = 1 << 16;
        let mut counts = vec![0; self.header().vocab as usize];
        let mut tokens = Vec::with_capacity(CHUNK as usize);
        for start in (0..self.tokens()).step_by(CHUNK as usize) {
            tokens.clear();
            self.read(start..self.tokens().min(start + CHUNK), &mut tokens);
            for token in &tokens {
                if let Some(count) = counts.get_mut(*token as usize) {
                    *count += 1;
                }
            }
        }
        counts
    }

    /// True when a mask tells which tokens are learned.
    pub fn is_masked(&self) -> bool {
        self.shards.iter().any(|shard| shard.header().masked)
    }

    /// Appends to `out` which tokens of `range` are learned.
    ///
    /// # Panics
    /// When the range reaches past the end of the stream.
    pub fn read_learned(&self, range: Range<u64>, out: &mut Vec<bool>) {
        for (shard, part) in self.parts(range) {
            out.extend(part.map(|at| self.shards[shard].learns(at)));
        }
    }

    /// Label of a document, in a file of labelled ones: the bit of its first token, which nothing predicts.
    pub fn label(&self, document: u64) -> bool {
        let mut before = 0;
        for shard in &self.shards {
            let number = document - before;
            if number < shard.header().documents {
                return shard.learns(if number == 0 { 0 } else { shard.document_end(number - 1) });
            }
            before += shard.header().documents;
        }
        false
    }

    /// Range of every document in the stream, in order.
    pub fn document_ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.shards.iter().zip(&self.starts).flat_map(|(shard, base)| {
            (0..shard.header().documents).map(move |document| {
                let start = if document == 0 { 0 } else { shard.document_end(document - 1) };
                base + start..base + shard.document_end(document)
            })
        })
    }

    /// Stream positions at which documents start inside `range`, except its first position.
    pub fn document_starts(&self, range: Range<u64>) -> Vec<u64> {
        let mut found = Vec::new();
        for (index, part) in self.parts(range.clone()) {
            let (shard, base) = (&self.shards[index], self.starts[index]);
            if part.start == 0 && base > range.start {
                found.push(base);
            }
            let ends = (shard.document_of(part.start)..).map(|document| shard.document_end(document));
            found.extend(ends.take_while(|end| *end < part.end).map(|end| base + end));
        }
        found
    }

    /// Splits `range` into a shard index and positions in that shard for each piece.
    fn parts(&self, range: Range<u64>) -> impl Iterator<Item = (usize, Range<u64>)> + '_ {
        assert!(range.end <= self.tokens(), "{range:?} of {} tokens", self.tokens());
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        (first..self.shards.len())
            .take_while(move |shard| self.starts[*shard] < range.end)
            .map(move |shard| {
                let (start, end) = (self.starts[shard], self.starts[shard + 1]);
                (shard, range.start.max(start) - start..range.end.min(end) - start)
            })
            .filter(|(_, part)| part.start < part.end)
    }
}

fn same_tokenizer(first: &TokenShard, shard: &TokenShard) -> Result<(), DataError> {
    let fields = |header: &Header| {
        let unit = header.unit as u32;
        [("vocabulary", header.vocab), ("bos", header.bos), ("eos", header.eos), ("the kind of examples", unit)]
    };
    for ((what, expected), (_, actual)) in fields(first.header()).into_iter().zip(fields(shard.header())) {
        if expected != actual {
            let (name, other) = (shard.name().to_owned(), first.name().to_owned());
            return Err(DataError::Mismatch { name, other, what, expected, actual });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::shard;
    use super::*;

    #[test]
    fn shards_join_into_one_stream() {
        let stream = TokenStream::new(vec![shard(&[&[5, 6], &[7]]), shard(&[]), shard(&[&[8, 9, 10]])]).unwrap();
        assert_eq!((stream.tokens(), stream.documents(), stream.longest_document()), (12, 3, 5));
        let mut all = Vec::new();
        stream.read(0..12, &mut all);
        assert_eq!(all, [0, 5, 6, 1, 0, 7, 1, 0, 8, 9, 10, 1]);
        let mut middle = Vec::new();
        stream.read(5..9, &mut middle);
        assert_eq!(middle, [7, 1, 0, 8]);
        let counts = stream.token_counts();
        assert_eq!((counts[0], counts[1], counts[5], counts[11], counts.iter().sum::<u64>()), (3, 3, 1, 0, 12));
        assert_eq!(stream.document_ranges().collect::<Vec<_>>(), [0..4, 4..7, 7..12]);
    }

    #[test]
    fn document_starts_are_found_inside_and_across_shards() {
        let stream = TokenStream::new(vec![shard(&[&[5, 6], &[7]]), shard(&[]), shard(&[&[8, 9, 10]])]).unwrap();
        assert_eq!(stream.document_starts(0..12), [4, 7]);
        assert_eq!(stream.document_starts(4..12), [7]);
        assert_eq!(stream.document_starts(5..8), [7]);
        assert_eq!(stream.document_starts(5..7), [] as [u64; 0]);
        assert_eq!(stream.document_starts(7..12), [] as [u64; 0]);
    }

    #[test]
    fn shards_of_two_tokenizers_do_not_mix() {
        let mut other = super::super::fixtures::file(&[&[5]], 99);
        let wrong = TokenShard::from_bytes(std::mem::take(&mut other), "second").unwrap();
        let error = TokenStream::new(vec![shard(&[&[5]]), wrong]).err().unwrap();
        assert!(matches!(error, DataError::Mismatch { what: "vocabulary", actual: 99, .. }), "{error}");
    }

    #[test]
    fn nothing_is_an_error() {
        assert!(matches!(TokenStream::new(vec![shard(&[])]), Err(DataError::Empty)));
        assert!(matches!(TokenStream::new(Vec::new()), Err(DataError::Empty)));
    }

    #[test]
    fn a_document_end_outside_of_the_file_is_refused() {
        let mut bytes = super::super::fixtures::file(&[&[5], &[6]], 300);
        bytes[64] = 200;
        assert!(matches!(TokenShard::from_bytes(bytes, "x"), Err(DataError::DocumentEnd { document: 0, .. })));
    }
}
