//! Random choices.

use stepwell_base::rng::Rng;

pub struct Draw(Rng);

impl Draw {
    pub fn new(rng: Rng) -> Self {
        Draw(rng)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// Uniform in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.0.below((high - low + 1) as u64) as usize
    }

    /// Picks one of the items, each with the same probability.
    ///
    /// # Panics
    /// When `items` is empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.0.below(items.len() as u64) as usize]
    }

    /// Picks one of the items in proportion to its weight.
    pub fn weighted<T: Copy>(&mut self, items: &[(u64, T)]) -> T {
        let mut left = self.0.below(items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            if left < *weight {
                return *item;
            }
            left -= weight;
        }
        unreachable!("the number drawn is below the sum of the weights")
    }
}
