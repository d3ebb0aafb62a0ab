//! Maps the data cursor to rows: selects the samples of a micro-batch.

use std::sync::Arc;

use super::error::DataError;
use super::mixture::Mixture;
use super::order::Permutation;
use super::packing::{PackedRow, Packing, PackingKind};
use super::stream::TokenStream;
use stepwell_base::token_file::Unit;

/// Samples of one phase in their shuffled order, epoch after epoch without end. With several sources, each has epochs of
/// its own.
pub struct Sampler {
    seed: u64,
    phase: String,
    context: usize,
    sources: Vec<Source>,
    mixture: Mixture,
}

/// Length of the rows, and how documents are put into them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowShape {
    /// Tokens per row.
    pub context: usize,
    pub packing: PackingKind,
}

impl From<usize> for RowShape {
    fn from(context: usize) -> RowShape {
        RowShape { context, packing: PackingKind::default() }
    }
}

struct Source {
    stream: Arc<TokenStream>,
    packing: Packing,
    /// Purpose of the random numbers that order its samples.
    order: String,
}

impl Source {
    fn new(stream: Arc<TokenStream>, shape: RowShape, order: String) -> Result<Self, DataError> {
        let packing = Packing::of(&stream, shape.context, shape.packing)?;
        Ok(Source { stream, packing, order })
    }
}

/// A source of a phase, and what the phase takes of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Taken {
    /// Share of the samples.
    pub share: f64,
    pub samples: u64,
    /// How many times the source is seen.
    pub epochs: f64,
}

/// An example that is learned from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Example {
    /// Place of its first document in its source.
    pub document: u64,
    /// Label of its answer, in a file of labelled ones.
    pub desirable: bool,
}

/// The permutation that was used last.
type Cached = Option<(u64, Permutation)>;

impl Sampler {
    /// Samples of the phase named `phase`.
    ///
    /// # Errors
    /// Those of [`Packing::of`].
    pub fn new(
        seed: u64,
        phase: &str,
        stream: Arc<TokenStream>,
        shape: impl Into<RowShape>,
    ) -> Result<Self, DataError> {
        let shape = shape.into();
        let sources = vec![Source::new(stream, shape, phase.to_owned())?];
        let (phase, context) = (phase.to_owned(), shape.context);
        Ok(Sampler { seed, phase, context, sources, mixture: Mixture::single() })
    }

    /// Samples of several sources, mixed by weight. The order of a source's samples depends on its place in the list.
    ///
    /// # Errors
    /// Those of [`Mixture::new`] and [`Packing::of`].
    pub fn mixed(
        seed: u64,
        phase: &str,
        streams: Vec<(Arc<TokenStream>, f64)>,
        shape: impl Into<RowShape>,
    ) -> Result<Self, DataError> {
        let shape = shape.into();
        let weights: Vec<f64> = streams.iter().map(|(_, weight)| *weight).collect();
        let mixture = Mixture::new(&weights)?;
        let sources = streams
            .into_iter()
            .enumerate()
            .map(|(number, (stream, _))| Source::new(stream, shape, format!("{phase}/source {number}")))
            .collect::<Result<_, _>>()?;
        Ok(Sampler { seed, phase: phase.to_owned(), context: shape.context, sources, mixture })
    }

    /// Tokens of the longest document of all sources.
    pub fn longest_document(&self) -> u64 {
        self.sources.iter().map(|source| source.stream.longest_document()).max().unwrap_or_default()
    }

    pub fn context(&self) -> usize {
        self.context
    }

    /// Number of samples in all sources.
    pub fn samples(&self) -> u64 {
        self.sources.iter().map(|source| source.packing.samples()).sum()
    }

    /// Share of each token of the vocabulary among the tokens of the phase. Reads all sources.
    pub fn token_shares(&self) -> Vec<f64> {
        let mut shares = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            let share = self.mixture.share(number) / source.stream.tokens() as f64;
            let counts = source.stream.token_counts();
            shares.resize(shares.len().max(counts.len()), 0.0);
            for (of_token, count) in shares.iter_mut().zip(counts) {
                *of_token += share * count as f64;
            }
        }
        shares
    }

    /// Documents that rows cut, and documents that are left out, over all sources; see [`Packing::lost`].
    pub fn lost(&self) -> (u64, u64) {
        let lost = self.sources.iter().map(|source| source.packing.lost());
        lost.fold((0, 0), |(cut, left_out), (more_cut, more_out)| (cut + more_cut, left_out + more_out))
    }

    /// Samples from each source among the first `places` of the phase.
    pub fn taken(&self, places: u64) -> Vec<Taken> {
        let counts = self.mixture.counts(self.seed, &self.phase, places);
        let taken = |(number, samples): (usize, u64)| Taken {
            share: self.mixture.share(number),
            samples,
            epochs: samples as f64 / self.sources[number].packing.samples() as f64,
        };
        counts.into_iter().enumerate().map(taken).collect()
    }

    /// Source and number of the samples at places `cursor..cursor + count`, counted from the start of the phase.
    fn picks(&self, cursor: u64, count: u64) -> Vec<(usize, u64)> {
        let cycle = self.mixture.cycle();
        let mut mixing: Cached = None;
        let mut ordering: Vec<Cached> = vec![None; self.sources.len()];
        (cursor..cursor + count)
            .map(|place| {
                let mixed = cached(&mut mixing, place / cycle, |number| {
                    self.mixture.permutation(self.seed, &self.phase, number)
                });
                let (number, index) = self.mixture.source_at(mixed, place / cycle, place % cycle);
                let source = &self.sources[number];
                let samples = source.packing.samples();
                let order = cached(&mut ordering[number], index / samples, |epoch| {
                    Permutation::new(self.seed, &source.order, epoch, samples)
                });
                (number, order.at(index % samples))
            })
            .collect()
    }

    /// The examples of the rows at places `cursor..cursor + count` of the phase, if each row or pair of rows is one.
    pub fn examples(&self, cursor: u64, count: u64) -> Vec<Example> {
        let example = |(number, sample): (usize, u64)| {
            let Source { stream, packing, .. } = &self.sources[number];
            let document = packing.document(sample)?;
            Some(Example { document, desirable: stream.label(document) })
        };
        self.picks(cursor, count).into_iter().filter_map(example).collect()
    }

    /// Token that fills rows.
    pub fn eos(&self) -> u32 {
        self.sources[0].stream.header().eos
    }

    /// Number of sources.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Documents of the first source, and what its examples are made of.
    pub fn documents(&self) -> (u64, Unit) {
        let stream = &self.sources[0].stream;
        (stream.documents(), stream.header().unit)
    }

    /// Rows at places `cursor..cursor + count` of the phase.
    pub fn rows(&self, cursor: u64, count: u64) -> Vec<PackedRow> {
        let row = |(number, sample): (usize, u64)| {
            let Source { stream, packing, .. } = &self.sources[number];
            packing.row(stream, sample)
        };
        self.picks(cursor, count).into_iter().map(row).collect()
    }
}

fn cached(cached: &mut Cached, number: u64, make: impl FnOnce(u64) -> Permutation) -> &Permutation {
    let is_it = cached.as_ref().is_some_and(|(known, _)| *known == number);
    if !is_it {
        *cached = None;
    }
    &cached.get_or_insert_with(|| (number, make(number))).1
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::shard;
    use super::super::order::order;
    use super::*;

    fn stream(documents: u32) -> Arc<TokenStream> {
        let documents: Vec<Vec<u32>> =
            (0..documents).map(|d| (0..9).map(|t| 2 + (d * 9 + t) % 290).collect()).collect();
        let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
        Arc::new(TokenStream::new(vec![shard(&documents)]).unwrap())
    }

    fn sampler(seed: u64, phase: &str) -> Sampler {
        Sampler::new(seed, phase, stream(40), 8).unwrap()
    }

    fn mixed() -> Sampler {
        Sampler::mixed(7, "main", vec![(stream(40), 0.5), (stream(7), 0.3), (stream(11), 0.2)], 8).unwrap()
    }

    impl Sampler {
        fn indices(&self, cursor: u64, count: u64) -> Vec<u64> {
            self.picks(cursor, count).into_iter().map(|(_, sample)| sample).collect()
        }
    }

    /// Resume bug "shuffle redrawn from mid-epoch RNG": the place where reading starts must not matter.
    #[test]
    fn shuffle_redrawn_reading_in_pieces_gives_the_same_samples() {
        for sampler in [sampler(7, "main"), mixed()] {
            let whole = sampler.picks(0, 100);
            for pieces in [vec![50, 50], vec![33, 33, 34], vec![1; 100]] {
                let mut cursor = 0;
                let mut joined = Vec::new();
                for piece in pieces {
                    joined.extend(sampler.picks(cursor, piece));
                    cursor += piece;
                }
                assert_eq!(joined, whole);
            }
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

    /// Within an epoch of its own, each source gives every sample once; the counts are those that are announced.
    #[test]
    fn each_source_of_a_mixture_has_complete_epochs() {
        let sampler = mixed();
        let picks = sampler.picks(0, 2000);
        let taken = sampler.taken(2000);
        assert_eq!(taken.iter().map(|taken| taken.samples).collect::<Vec<_>>(), [1000, 600, 400]);
        for (number, source) in sampler.sources.iter().enumerate() {
            let samples = source.packing.samples() as usize;
            let of_source: Vec<u64> =
                picks.iter().filter(|(other, _)| *other == number).map(|(_, sample)| *sample).collect();
            assert_eq!(of_source.len() as u64, taken[number].samples);
            // Cycles shuffle the samples of a source a little, so an epoch is complete when whole cycles have passed it.
            let mut times = vec![0u64; samples];
            for sample in &of_source {
                times[*sample as usize] += 1;
            }
            let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
            assert!(most - least <= 1, "source {number}: {times:?}");
            assert!((taken[number].epochs - of_source.len() as f64 / samples as f64).abs() < 1e-12);
        }
        assert_eq!(sampler.taken(7).iter().map(|taken| taken.samples).sum::<u64>(), 7);
    }
}
