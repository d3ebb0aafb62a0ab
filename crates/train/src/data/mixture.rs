//! Mixes several sources by weight: which source gives the sample at each place of a phase.
//!
//! Places form cycles of equal length. In every cycle each source has the same number of places, shuffled anew by a
//! keyed permutation. So the answer is a pure function of the place: nothing needs to be saved, counts are exact at
//! the end of every cycle, and each source gives its samples in order, none twice.

use super::error::DataError;
use super::order::Permutation;

/// Cycles are as short as the weights allow, and at most this long: weights are then exact to one in a thousand.
const LONGEST_CYCLE: u64 = 1000;

/// Most sources in a mixture.
const MOST_SOURCES: usize = 64;

/// The places of each source in a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture {
    /// First slot of each source; one more entry for the length of the cycle.
    starts: Vec<u64>,
}

impl Mixture {
    /// A single source.
    pub fn single() -> Self {
        Mixture { starts: vec![0, 1] }
    }

    /// Divides a cycle by weights, which need not sum to 1. A source with a positive weight has one place at least.
    ///
    /// # Errors
    /// [`DataError::Weight`] for a weight that is negative or no number, [`DataError::NoWeight`] when all are zero,
    /// [`DataError::Sources`] for too many.
    pub fn new(weights: &[f64]) -> Result<Self, DataError> {
        if weights.is_empty() || weights.len() > MOST_SOURCES {
            return Err(DataError::Sources { sources: weights.len(), most: MOST_SOURCES });
        }
        if let Some(source) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(DataError::Weight { source_number: source + 1, weight: weights[source] });
        }
        let sum: f64 = weights.iter().sum();
        if sum <= 0.0 || !sum.is_finite() {
            return Err(DataError::NoWeight);
        }
        let shares: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
        let mut starts = vec![0];
        for places in places(&shares) {
            starts.push(starts[starts.len() - 1] + places);
        }
        Ok(Mixture { starts })
    }

    pub fn sources(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of places in a cycle.
    pub fn cycle(&self) -> u64 {
        self.starts[self.sources()]
    }

    fn places_of(&self, source: usize) -> u64 {
        self.starts[source + 1] - self.starts[source]
    }

    /// Share of the places that a source has.
    pub fn share(&self, source: usize) -> f64 {
        self.places_of(source) as f64 / self.cycle() as f64
    }

    /// Permutation of a cycle's slots.
    pub fn permutation(&self, seed: u64, phase: &str, cycle: u64) -> Permutation {
        Permutation::new(seed, &format!("mixture/{phase}"), cycle, self.cycle())
    }

    /// Source of the place with this index in the cycle, and the index of its sample among those of the source.
    pub fn source_at(&self, permutation: &Permutation, cycle: u64, index: u64) -> (usize, u64) {
        let slot = permutation.at(index);
        let source = self.starts.partition_point(|start| *start <= slot) - 1;
        (source, cycle * self.places_of(source) + slot - self.starts[source])
    }

    /// Exact number of places that each source has among the first `places` of a phase.
    pub fn counts(&self, seed: u64, phase: &str, places: u64) -> Vec<u64> {
        let (cycles, rest) = (places / self.cycle(), places % self.cycle());
        let mut counts: Vec<u64> = (0..self.sources()).map(|source| cycles * self.places_of(source)).collect();
        let permutation = self.permutation(seed, phase, cycles);
        for index in 0..rest {
            counts[self.source_at(&permutation, cycles, index).0] += 1;
        }
        counts
    }
}

/// Number of places of each source, in the shortest cycle that has the shares exactly, or else in the longest one by
/// largest remainders.
fn places(shares: &[f64]) -> Vec<u64> {
    const EXACT: f64 = 1e-9;
    for cycle in 1..=LONGEST_CYCLE {
        let whole: Vec<f64> = shares.iter().map(|share| (share * cycle as f64).round()).collect();
        let exact = shares
            .iter()
            .zip(&whole)
            .all(|(share, whole)| (share * cycle as f64 - whole).abs() < EXACT && (*whole > 0.0 || *share == 0.0));
        if exact {
            return whole.into_iter().map(|places| places as u64).collect();
        }
    }
    let wanted: Vec<f64> = shares.iter().map(|share| share * LONGEST_CYCLE as f64).collect();
    let mut places: Vec<u64> =
        wanted.iter().map(|wanted| if *wanted > 0.0 { (wanted.floor() as u64).max(1) } else { 0 }).collect();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by(|one, other| wanted[*other].fract().total_cmp(&wanted[*one].fract()).then(one.cmp(other)));
    let given: u64 = places.iter().sum();
    for source in by_remainder.iter().take(LONGEST_CYCLE.saturating_sub(given) as usize) {
        places[*source] += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places_of(weights: &[f64]) -> Vec<u64> {
        let mixture = Mixture::new(weights).unwrap();
        (0..mixture.sources()).map(|source| mixture.places_of(source)).collect()
    }

    #[test]
    fn cycles_are_as_short_as_the_weights_allow() {
        assert_eq!(places_of(&[0.7, 0.3]), [7, 3]);
        assert_eq!(places_of(&[2.0, 2.0, 2.0]), [1, 1, 1]);
        assert_eq!(places_of(&[5.0]), [1]);
        assert_eq!(places_of(&[0.0, 1.0]), [0, 1]);
        assert_eq!(places_of(&[0.999, 0.001]), [999, 1]);
        let odd = places_of(&[1.0, std::f64::consts::PI, 1e-9]);
        assert_eq!((odd[2], odd.iter().sum::<u64>()), (1, 1000));
        assert_eq!(places_of(&[1.0, 1.0, 1e-12])[2], 1);
    }

    #[test]
    fn weights_that_mix_nothing_are_refused() {
        assert!(matches!(Mixture::new(&[0.0, 0.0]), Err(DataError::NoWeight)));
        assert!(matches!(Mixture::new(&[]), Err(DataError::Sources { sources: 0, .. })));
        assert!(matches!(Mixture::new(&[1.0; 65]), Err(DataError::Sources { sources: 65, .. })));
        for weight in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(Mixture::new(&[1.0, weight]), Err(DataError::Weight { source_number: 2, .. })));
        }
    }

    /// The order must not depend on where a training resumed: it is that of seed, phase and cycle alone.
    #[test]
    fn the_order_is_that_of_seed_phase_and_cycle() {
        let mixture = Mixture::new(&[3.0, 5.0]).unwrap();
        let order = |seed, phase: &str, cycle| {
            let permutation = mixture.permutation(seed, phase, cycle);
            (0..mixture.cycle()).map(|index| mixture.source_at(&permutation, cycle, index).0).collect::<Vec<_>>()
        };
        let orders = |change: &dyn Fn(u64) -> Vec<usize>| (0..8).map(change).collect::<std::collections::HashSet<_>>();
        assert_eq!(order(7, "main", 2), order(7, "main", 2));
        assert!(orders(&|seed| order(seed, "main", 2)).len() > 4);
        assert!(orders(&|cycle| order(7, "main", cycle)).len() > 4);
        assert!(orders(&|phase| order(7, &phase.to_string(), 2)).len() > 4);
    }

    proptest! {
        /// Every source gives its samples 0, 1, 2, ... once each, and the counts are what is announced.
        #[test]
        fn every_source_gives_each_of_its_samples_once(
            weights in prop::collection::vec(0.01f64..10.0, 1..6), seed: u64, cycles in 1u64..4
        ) {
            let mixture = Mixture::new(&weights).unwrap();
            let mut seen = vec![Vec::new(); weights.len()];
            let mut counts = vec![0; weights.len()];
            let stop = mixture.cycle() * cycles - mixture.cycle() / 3;
            for place in 0..mixture.cycle() * cycles {
                let cycle = place / mixture.cycle();
                let permutation = mixture.permutation(seed, "main", cycle);
                let (source, sample) = mixture.source_at(&permutation, cycle, place % mixture.cycle());
                seen[source].push(sample);
                counts[source] += u64::from(place < stop);
            }
            prop_assert_eq!(counts, mixture.counts(seed, "main", stop));
            for (source, mut seen) in seen.into_iter().enumerate() {
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..cycles * mixture.places_of(source)).collect::<Vec<_>>());
            }
            for (source, weight) in weights.iter().enumerate() {
                let wanted = weight / weights.iter().sum::<f64>();
                prop_assert!((mixture.share(source) - wanted).abs() < 0.0021, "{} {wanted}", mixture.share(source));
            }
        }
    }
}
