//! The newest rows of a series, by their digests.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use stepwell_tensorboard::Row;

/// Rows that are kept: more than an engine commits within a second.
const MOST: usize = 4096;

/// A training step and the digest of its row.
type Note = (u64, u64);

#[derive(Default)]
pub(super) struct Recent {
    notes: VecDeque<Note>,
}

impl Recent {
    pub(super) fn note(row: &Row) -> Note {
        let mut hasher = DefaultHasher::new();
        for (tag, value) in &row.values {
            (tag, if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).hash(&mut hasher);
        }
        (row.train_step, hasher.finish())
    }

    pub(super) fn push(&mut self, row: &Row) {
        if self.notes.len() == MOST {
            self.notes.pop_front();
        }
        self.notes.push_back(Recent::note(row));
    }

    /// Forgets the rows from a training step on.
    pub(super) fn rewind(&mut self, from: u64) {
        let kept = self.notes.partition_point(|(train_step, _)| *train_step < from);
        self.notes.truncate(kept);
    }

    /// True if all rows from a training step on are known.
    pub(super) fn covers(&self, from: u64) -> bool {
        self.notes.front().is_some_and(|(first, _)| *first <= from)
    }

    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = Note> + '_ {
        let start = self.notes.partition_point(|(train_step, _)| *train_step < from);
        self.notes.range(start..).copied()
    }
}
