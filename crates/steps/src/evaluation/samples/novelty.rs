//! How much of the generated text is not copied from the training text.

use std::collections::HashMap;

/// The n-grams of samples, each marked once the training text has shown it. Memory grows with the samples only.
pub struct Novelty {
    n: usize,
    /// Times that each occurs in the samples, and whether it was seen.
    grams: HashMap<Vec<u32>, (u64, bool)>,
}

impl Novelty {
    /// Those of sequences of four and of eight tokens, by their names in results.
    pub fn usual(samples: &[Vec<u32>]) -> Vec<(&'static str, Novelty)> {
        vec![("novelty_4", Novelty::of(samples, 4)), ("novelty_8", Novelty::of(samples, 8))]
    }

    pub fn of(samples: &[Vec<u32>], n: usize) -> Novelty {
        let mut grams: HashMap<Vec<u32>, (u64, bool)> = HashMap::new();
        for gram in samples.iter().flat_map(|sample| sample.windows(n)) {
            grams.entry(gram.to_vec()).or_default().0 += 1;
        }
        Novelty { n, grams }
    }

    /// Looks at a document of the training text.
    pub fn see(&mut self, document: &[u32]) {
        for gram in document.windows(self.n) {
            if let Some((_, seen)) = self.grams.get_mut(gram) {
                *seen = true;
            }
        }
    }

    /// Share of the n-grams of the samples that no document has; `None` without n-grams.
    pub fn share(&self) -> Option<f64> {
        let all: u64 = self.grams.values().map(|(count, _)| count).sum();
        let new: u64 = self.grams.values().filter(|(_, seen)| !seen).map(|(count, _)| count).sum();
        (all > 0).then(|| new as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_has_is_not_new() {
        let mut novelty = Novelty::of(&[vec![1, 2, 3, 1, 2], vec![8, 9]], 2);
        assert_eq!(novelty.share(), Some(1.0));
        novelty.see(&[0, 1, 2]);
        // Two of five: the pair 1, 2 occurs twice.
        assert!((novelty.share().unwrap() - 3.0 / 5.0).abs() < 1e-12);
        // A pair across two documents is in none of them.
        novelty.see(&[8]);
        novelty.see(&[9]);
        assert!((novelty.share().unwrap() - 3.0 / 5.0).abs() < 1e-12);
        assert_eq!(Novelty::of(&[vec![1]], 2).share(), None);
    }
}
