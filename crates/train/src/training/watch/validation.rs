//! A fixed part of held-out text, on which the loss is measured again and again.

use std::num::NonZeroU64;

use super::standing::Validated;
use crate::data::{DataError, PackedRow, Packing, TokenStream};
use crate::evaluation::likelihood;
use crate::model::Transformer;

/// Rows of held-out text: samples as training takes them, evenly spread over the whole text.
#[derive(Clone, PartialEq, Debug)]
pub struct Validation {
    /// Training steps between two measurements.
    pub every: NonZeroU64,
    rows: Vec<PackedRow>,
    /// UTF-8 bytes of the text that the counted targets encode.
    text_bytes: u64,
}

impl Validation {
    /// Chooses about `tokens` tokens of `stream`, in rows of `context`. `bytes_of` gives the bytes of the text that a
    /// token stands for. The choice depends on nothing else.
    ///
    /// # Errors
    /// [`DataError::NoContext`] when the context is 0.
    pub fn new(
        stream: &TokenStream,
        context: usize,
        tokens: NonZeroU64,
        every: NonZeroU64,
        bytes_of: impl Fn(u32) -> u64,
    ) -> Result<Self, DataError> {
        let packing = Packing::new(stream, context)?;
        let samples = packing.samples();
        let count = tokens.get().div_ceil(context as u64).min(samples);
        let place = |number: u64| (u128::from(number) * u128::from(samples) / u128::from(count)) as u64;
        let rows: Vec<PackedRow> = (0..count).map(|number| packing.row(stream, place(number))).collect();
        let targets = rows.iter().flat_map(|row| &row.targets).filter_map(|target| u32::try_from(*target).ok());
        let text_bytes = targets.map(bytes_of).sum();
        Ok(Validation { every, rows, text_bytes })
    }

    /// Number of tokens whose loss is measured.
    pub fn tokens(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.targets).filter(|target| **target >= 0).count()
    }

    /// Measures the loss of `model`, without dropout and without gradients.
    pub fn measure(&self, model: &Transformer) -> Validated {
        let found = likelihood::of_rows(model, &self.rows);
        Validated { loss: found.mean() as f32, bits_per_byte: found.bits_per_byte(self.text_bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixtures::shard;

    fn number(n: u64) -> NonZeroU64 {
        NonZeroU64::new(n).unwrap()
    }

    fn stream() -> TokenStream {
        let documents: Vec<Vec<u32>> = (0..20).map(|d| (0..31).map(|t| 2 + d * 31 + t).collect()).collect();
        let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
        TokenStream::new(vec![shard(&documents)]).unwrap()
    }

    #[test]
    fn the_part_is_spread_over_the_text_and_not_larger_than_asked() {
        let stream = stream();
        let part = |tokens| Validation::new(&stream, 16, number(tokens), number(1), |_| 3).unwrap();
        let validation = part(64);
        assert_eq!(validation.rows.len(), 4);
        let first: Vec<u32> = validation.rows.iter().map(|row| row.ids[1]).collect();
        assert!(first.windows(2).all(|pair| pair[1] > pair[0] + 100), "{first:?}");
        assert_eq!(validation.text_bytes, 3 * validation.tokens() as u64);
        assert_eq!(part(1).rows.len(), 1);
        // All of it: every token but each document's BOS is a target once.
        assert_eq!(part(1 << 40).tokens(), 20 * 32);
    }
}
