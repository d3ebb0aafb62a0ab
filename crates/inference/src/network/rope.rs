//! Angles of rotary positions.

use stepwell_models::Rope;

use crate::kernels::Activations;

/// Frequencies of a model's positions.
#[derive(Clone, Debug)]
pub struct Frequencies {
    usual: Vec<f32>,
    /// Frequencies of sequences that may become longer than so many tokens.
    extended: Option<(usize, Vec<f32>)>,
    /// Factor of sines and cosines.
    factor: f32,
}

impl Frequencies {
    /// Frequencies of sequences of up to `context` tokens.
    pub fn of(rope: &Rope, context: usize) -> Self {
        let limit = rope.changes_after().filter(|limit| *limit < context);
        Frequencies {
            usual: rope.inverse_frequencies(limit.unwrap_or(context)),
            extended: limit.map(|limit| (limit, rope.inverse_frequencies(context))),
            factor: rope.attention_factor(),
        }
    }

    /// True if a sequence that may grow to `tokens` tokens has frequencies of its own from its first token on. Keys of one
    /// kind are of no use to the other.
    pub fn extends(&self, tokens: usize) -> bool {
        self.extended.as_ref().is_some_and(|(limit, _)| tokens > *limit)
    }

    fn get(&self, extended: bool) -> &[f32] {
        self.extended.as_ref().filter(|_| extended).map_or(&self.usual, |(_, frequencies)| frequencies)
    }
}

/// Angles of the positions of a step, for all layers and heads.
#[derive(Default)]
pub struct Angles {
    cosines: Activations,
    sines: Activations,
}

impl Angles {
    /// Computes the angles of positions, each with whether its sequence is an extended one. An angle is rounded to f32 before
    /// its sine is taken, as in training: for far positions that rounding is part of the model.
    pub fn set(&mut self, frequencies: &Frequencies, positions: &[(usize, bool)]) {
        self.cosines.reshape(positions.len(), frequencies.usual.len());
        self.sines.reshape(positions.len(), frequencies.usual.len());
        let rows = self.cosines.iter_mut().zip(self.sines.iter_mut());
        for ((position, extended), (cosines, sines)) in positions.iter().zip(rows) {
            for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(frequencies.get(*extended)) {
                let angle = f64::from(*position as f32 * frequency);
                *cosine = angle.cos() as f32 * frequencies.factor;
                *sine = angle.sin() as f32 * frequencies.factor;
            }
        }
    }

    /// Cosines and sines of a row.
    pub fn row(&self, row: usize) -> (&[f32], &[f32]) {
        (self.cosines.row(row), self.sines.row(row))
    }
}
