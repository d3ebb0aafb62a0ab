//! Dropout masks as pure functions of (seed, site, element): nothing to save, and the same on every device and for any
//! number of threads.

use stepwell_base::rng::derive_seed;

/// Mask of one site in the model at one training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutMask {
    seed: u64,
    probability: f32,
}

impl DropoutMask {
    /// `site` numbers the dropout sites in the model; `probability` is the drop probability, in `[0, 1)`.
    pub fn new(step_seed: u64, site: u64, probability: f32) -> Self {
        DropoutMask { seed: derive_seed(step_seed, "dropout", site), probability }
    }

    /// Factor of element `index`: 0 when dropped, otherwise `1 / (1 - probability)`.
    #[inline]
    pub fn factor(&self, index: usize) -> f32 {
        // SplitMix64 in counter mode: output `index` of the generator with this seed.
        let mut z = self.seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let uniform = (z >> 40) as f32 / (1u32 << 24) as f32;
        if uniform < self.probability { 0.0 } else { self.kept() }
    }

    /// Factor of a kept element.
    #[inline]
    pub fn kept(&self) -> f32 {
        1.0 / (1.0 - self.probability)
    }

    #[cfg(feature = "cube")]
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    #[cfg(feature = "cube")]
    pub(super) fn probability(&self) -> f32 {
        self.probability
    }

    pub fn factors(&self, len: usize) -> Vec<f32> {
        (0..len).map(|index| self.factor(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::rng::Rng;

    #[test]
    fn counter_and_generator_agree() {
        let mask = DropoutMask::new(5, 3, 0.5);
        let mut rng = Rng::new(mask.seed);
        for index in 0..100 {
            let kept = (rng.next_u64() >> 40) as f32 / (1u32 << 24) as f32 >= 0.5;
            assert_eq!(mask.factor(index) > 0.0, kept);
        }
    }

    #[test]
    fn keeps_the_expected_share_and_its_mean_is_one() {
        let factors = DropoutMask::new(1, 0, 0.1).factors(100_000);
        let dropped = factors.iter().filter(|factor| **factor == 0.0).count();
        assert!((9_500..10_500).contains(&dropped), "{dropped} of 100,000");
        let mean = factors.iter().map(|factor| f64::from(*factor)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01, "mean {mean}");
        assert_ne!(factors, DropoutMask::new(1, 1, 0.1).factors(100_000));
    }
}
