//! Order of samples: a pure keyed permutation. Without a shuffle buffer or a table there is nothing to save, and any
//! position can be computed without the ones before it.

use stepwell_base::rng::{Rng, derive_seed};

/// Rounds of the Feistel network. Four already make a pseudo-random permutation (Luby and Rackoff 1988); the rest
/// compensates for the small halves of small corpora.
const ROUNDS: usize = 8;

/// Sample at place `index` of `epoch` in `phase`, out of `samples`.
///
/// For a fixed (seed, phase, epoch) this is a permutation of `0..samples`.
///
/// # Panics
/// When `index` is not below `samples`.
pub fn order(seed: u64, phase: &str, epoch: u64, samples: u64, index: u64) -> u64 {
    Permutation::new(seed, phase, epoch, samples).at(index)
}

/// Permutation of one epoch: a balanced Feistel network on the next power of four, walked along its cycle until it
/// lands inside the range (Black and Rogaway 2002).
#[derive(Clone, Debug)]
pub struct Permutation {
    samples: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// Derives the keys of the network from (seed, phase, epoch).
    pub fn new(seed: u64, phase: &str, epoch: u64, samples: u64) -> Self {
        let bits = u64::BITS - samples.saturating_sub(1).leading_zeros();
        let mut rng = Rng::new(derive_seed(seed, &format!("order/{phase}"), epoch));
        let keys = std::array::from_fn(|_| rng.next_u64());
        Permutation { samples, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// Sample at place `index`.
    ///
    /// # Panics
    /// When `index` is not below the number of samples.
    pub fn at(&self, index: u64) -> u64 {
        assert!(index < self.samples, "place {index} of {} samples", self.samples);
        let mut place = self.network(index);
        while place >= self.samples {
            place = self.network(place);
        }
        place
    }

    fn network(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            let mixed = Rng::new(key ^ right).next_u64() & mask;
            (left, right) = (right, left ^ mixed);
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_epoch_is_a_permutation(seed: u64, epoch in 0u64..1000, samples in 1u64..3000) {
            let permutation = Permutation::new(seed, "main", epoch, samples);
            let mut seen = vec![false; samples as usize];
            for index in 0..samples {
                let sample = permutation.at(index) as usize;
                prop_assert!(!std::mem::replace(&mut seen[sample], true), "sample {sample} came twice");
            }
        }

        #[test]
        fn huge_corpora_need_no_table(seed: u64, index in 0u64..(1 << 40)) {
            prop_assert!(order(seed, "main", 0, 1 << 40, index) < 1 << 40);
        }
    }

    #[test]
    fn seed_phase_and_epoch_each_change_the_order() {
        let whole = |seed, phase, epoch| (0..100).map(|i| order(seed, phase, epoch, 100, i)).collect::<Vec<_>>();
        let base = whole(1, "main", 0);
        assert_eq!(base, whole(1, "main", 0));
        for other in [whole(2, "main", 0), whole(1, "words", 0), whole(1, "main", 1)] {
            assert_ne!(base, other);
        }
    }

    /// Each sample must come at each place about equally often over many epochs.
    #[test]
    fn places_are_uniform_over_epochs() {
        let (samples, epochs) = (10u64, 20_000u64);
        let mut counts = [[0u32; 10]; 10];
        for epoch in 0..epochs {
            let permutation = Permutation::new(3, "main", epoch, samples);
            for index in 0..samples {
                counts[index as usize][permutation.at(index) as usize] += 1;
            }
        }
        let expected = (epochs / samples) as f64;
        for count in counts.iter().flatten() {
            let off = (f64::from(*count) - expected).abs() / expected;
            assert!(off < 0.12, "{count} of {expected}");
        }
    }

    /// Pinned, because another network would silently change what a resumed run sees.
    #[test]
    fn the_order_is_pinned() {
        let first: Vec<u64> = (0..10).map(|i| order(42, "main", 0, 10, i)).collect();
        assert_eq!(first, [9, 8, 4, 5, 0, 1, 6, 3, 2, 7]);
    }
}
