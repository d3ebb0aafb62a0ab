//! The corpus as a pure function of its seed.

use super::draw::Draw;
use super::pairs::{self, MinimalPair};
use super::story;
use stepwell_base::rng::{Rng, derive_seed};

/// Documents and minimal pairs of one seed.
pub struct Grammar {
    seed: u64,
}

impl Grammar {
    pub fn new(seed: u64) -> Self {
        Grammar { seed }
    }

    /// Writes the `index`-th document: paragraphs of a short story, separated by blank lines.
    pub fn document(&self, index: u64) -> String {
        story::write(self.draw("grammar/document", index))
    }

    /// Writes all minimal pairs, grouped by phenomenon. The contrast that each pair tests occurs in no document of
    /// any seed.
    pub fn minimal_pairs(&self) -> Vec<MinimalPair> {
        pairs::all(|index| self.draw("grammar/pairs", index))
    }

    fn draw(&self, purpose: &str, index: u64) -> Draw {
        Draw::new(Rng::new(derive_seed(self.seed, purpose, index)))
    }
}
