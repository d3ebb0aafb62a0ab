//! Maps the data cursor to rows: selects the samples of a micro-batch.

use std::sync::Arc;

use super::error::DataError;
use super::order::Permutation;
use super::packing::{PackedRow, Packing};
use super::stream::TokenStream;

/// Samples of one phase in their shuffled order, epoch after epoch without end.
pub struct Sampler {
    seed: u64,
    phase: String,
    stream: Arc<TokenStream>,
    packing: Packing,
}

impl Sampler {
    /// Samples of the phase named `phase`, in rows of `context` tokens.
    ///
    /// # Errors
    /// [`DataError::NoContext`] when the context is 0.
    pub fn new(seed: u64, phase: &str, stream: Arc<TokenStream>, context: usize) -> Result<Self, DataError> {
        let packing = Packing::new(&stream, context)?;
        Ok(Sampler { seed, phase: phase.to_owned(), stream, packing })
    }

    pub fn stream(&self) -> &TokenStream {
        &self.stream
    }

    /// Number of samples in one epoch.
    pub fn samples(&self) -> u64 {
        self.packing.samples()
    }

    pub fn context(&self) -> usize {
        self.packing.context()
    }

    /// Sample numbers at places `cursor..cursor + count`, counted from the start of the phase.
    pub fn indices(&self, cursor: u64, count: u64) -> Vec<u64> {
        let samples = self.packing.samples();
        let mut current: Option<(u64, Permutation)> = None;
        (cursor..cursor + count)
            .map(|place| {
                let (epoch, index) = (place / samples, place % samples);
                match &current {
                    Some((cached, permutation)) if *cached == epoch => permutation.at(index),
                    _ => {
                        let permutation = Permutation::new(self.seed, &self.phase, epoch, samples);
                        let sample = permutation.at(index);
                        current = Some((epoch, permutation));
                        sample
                    }
                }
            })
            .collect()
    }

    /// Rows at places `cursor..cursor + count` of the phase.
    pub fn rows(&self, cursor: u64, count: u64) -> Vec<PackedRow> {
        self.indices(cursor, count).into_iter().map(|index| self.packing.row(&self.stream, index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::shard;
    use super::super::order::order;
    use super::*;

    fn sampler(seed: u64, phase: &str) -> Sampler {
        let documents: Vec<Vec<u32>> = (0..40).map(|d| (0..9).map(|t| 2 + (d * 9 + t) % 290).collect()).collect();
        let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
        Sampler::new(seed, phase, Arc::new(TokenStream::new(vec![shard(&documents)]).unwrap()), 8).unwrap()
    }

    /// Resume bug "shuffle redrawn from mid-epoch RNG": the place where reading starts must not matter.
    #[test]
    fn shuffle_redrawn_reading_in_pieces_gives_the_same_samples() {
        let sampler = sampler(7, "main");
        let whole = sampler.indices(0, 100);
        for pieces in [vec![50, 50], vec![33, 33, 34], vec![1; 100]] {
            let mut cursor = 0;
            let mut joined = Vec::new();
            for piece in pieces {
                joined.extend(sampler.indices(cursor, piece));
                cursor += piece;
            }
            assert_eq!(joined, whole);
        }
    }

    /// Resume bug "offset reapplied every epoch": each epoch must hold each sample once.
    #[test]
    fn offset_reapplied_each_epoch_is_complete_from_any_cursor() {
        let sampler = sampler(7, "main");
        let samples = sampler.samples();
        for epoch in 0..3 {
            let resumed_at = epoch * samples + 5;
            let mut seen = sampler.indices(epoch * samples, 5);
            seen.extend(sampler.indices(resumed_at, samples - 5));
            seen.sort_unstable();
            assert_eq!(seen, (0..samples).collect::<Vec<_>>(), "epoch {epoch}");
        }
    }

    #[test]
    fn epochs_differ_and_equal_the_pure_function() {
        let sampler = sampler(7, "main");
        let samples = sampler.samples();
        assert_ne!(sampler.indices(0, samples), sampler.indices(samples, samples));
        let place = 2 * samples + 3;
        assert_eq!(sampler.indices(place, 1), [order(7, "main", 2, samples, 3)]);
    }
}
