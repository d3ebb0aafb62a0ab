//! Cuts the stream into samples. Every token is a target once per epoch, and no sample looks across the boundary of a
//! document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bins::Bins;
use super::error::DataError;
use super::stream::TokenStream;

/// Target of a position that is not counted in the loss.
pub const NOT_COUNTED: i32 = -1;

/// How documents are put into rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PackingKind {
    /// All documents one after another, cut where a row is full: for texts.
    #[default]
    Wrapped,
    /// One document in each row: for examples with a prompt and an answer.
    None,
    /// As many whole documents in each row as fit (best fit, decreasing): the same, with less padding.
    BestFit,
    /// The chosen and the rejected answer of a pair in two rows: for `preference`, which chooses it by itself.
    Pairs,
}

impl PackingKind {
    pub fn is_default(&self) -> bool {
        *self == PackingKind::default()
    }
}

/// The samples of a stream.
#[derive(Clone, Debug)]
pub struct Packing {
    context: usize,
    rows: Rows,
}

#[derive(Clone, Debug)]
enum Rows {
    /// Samples of `context + 1` tokens. Neighbours share one token, so each token but the first of the stream is the
    /// target of exactly one sample.
    Wrapped(u64),
    Bins(Bins),
    Pairs(Bins),
}

/// One row of a batch, each field of length `context`; of a pair, of twice that.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackedRow {
    pub ids: Vec<u32>,
    /// The next token, or -1 where it is not counted: the BOS after an EOS, and padding.
    pub targets: Vec<i32>,
    /// First position in this row of the token's own document; attention never looks before it.
    pub starts: Vec<u32>,
}

impl Packing {
    /// Packs the documents of a stream. A sample may hold several short documents, which do not attend to each other.
    ///
    /// # Errors
    /// [`DataError::NoContext`] when the context is 0.
    pub fn new(stream: &TokenStream, context: usize) -> Result<Self, DataError> {
        if context == 0 {
            return Err(DataError::NoContext);
        }
        let samples = (stream.tokens() - 1).div_ceil(context as u64).max(1);
        Ok(Packing { context, rows: Rows::Wrapped(samples) })
    }

    /// Packs documents in one of several ways.
    ///
    /// # Errors
    /// [`DataError::NoContext`] when the context is 0, [`DataError::NothingLearned`] when no document teaches anything.
    pub fn of(stream: &TokenStream, context: usize, kind: PackingKind) -> Result<Self, DataError> {
        let rows = match kind {
            PackingKind::Wrapped => return Packing::new(stream, context),
            PackingKind::None => Rows::Bins(Bins::single(stream, context)?),
            PackingKind::BestFit => Rows::Bins(Bins::best_fit(stream, context)?),
            PackingKind::Pairs => Rows::Pairs(Bins::pairs(stream, context)?),
        };
        Ok(Packing { context, rows })
    }

    /// Number of samples in one epoch.
    pub fn samples(&self) -> u64 {
        match &self.rows {
            Rows::Wrapped(samples) => *samples,
            Rows::Bins(bins) | Rows::Pairs(bins) => bins.len(),
        }
    }

    /// Documents of which a row has only the start, and documents that are left out because a row would learn nothing
    /// of them.
    pub fn lost(&self) -> (u64, u64) {
        match &self.rows {
            Rows::Wrapped(_) => (0, 0),
            Rows::Bins(bins) | Rows::Pairs(bins) => (bins.cut, bins.left_out),
        }
    }

    pub fn context(&self) -> usize {
        self.context
    }

    /// Row of the sample `index`.
    ///
    /// # Panics
    /// When `index` is not below the number of samples.
    pub fn row(&self, stream: &TokenStream, index: u64) -> PackedRow {
        assert!(index < self.samples(), "sample {index} of {}", self.samples());
        match &self.rows {
            Rows::Wrapped(_) => row_at(stream, index * self.context as u64, self.context),
            Rows::Bins(bins) => bins.row(stream, index, self.context),
            Rows::Pairs(bins) => bins.pair(stream, index, self.context),
        }
    }

    /// Place in the stream of the first document of a sample that has whole ones.
    pub fn document(&self, index: u64) -> Option<u64> {
        match &self.rows {
            Rows::Wrapped(_) => None,
            Rows::Bins(bins) | Rows::Pairs(bins) => bins.document(index),
        }
    }
}

/// Row whose inputs are the `context` tokens from stream position `from`, padded with EOS past the end of the stream.
pub fn row_at(stream: &TokenStream, from: u64, context: usize) -> PackedRow {
    let to = (from + context as u64 + 1).min(stream.tokens());
    let mut tokens = Vec::with_capacity(context + 1);
    stream.read(from..to, &mut tokens);

    let inputs = tokens.len().min(context);
    let mut row = PackedRow { ids: tokens[..inputs].to_vec(), targets: Vec::new(), starts: vec![0; inputs] };
    row.targets.extend(tokens[1..].iter().map(|token| *token as i32));
    row.targets.resize(inputs, NOT_COUNTED);
    if stream.is_masked() {
        let mut learned = Vec::with_capacity(tokens.len());
        stream.read_learned(from..to, &mut learned);
        for (target, learned) in row.targets.iter_mut().zip(&learned[1..]) {
            *target = if *learned { *target } else { NOT_COUNTED };
        }
    }
    for start in stream.document_starts(from..to) {
        let start = (start - from) as usize;
        row.targets[start - 1] = NOT_COUNTED;
        if start < inputs {
            row.starts[start..].fill(start as u32);
        }
    }
    row.pad(context, stream.header().eos);
    row
}

impl PackedRow {
    /// Fills the row with EOS that counts nothing and sees only itself.
    pub(super) fn pad(&mut self, context: usize, eos: u32) {
        let padding = self.ids.len()..context;
        self.ids.resize(context, eos);
        self.targets.resize(context, NOT_COUNTED);
        self.starts.extend(padding.map(|position| position as u32));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::shard;
    use super::*;

    const SKIP: i32 = NOT_COUNTED;

    #[test]
    fn rows_respect_document_boundaries() {
        // 0 5 6 7 1 | 0 8 1 | 0 9 1
        let stream = TokenStream::new(vec![shard(&[&[5, 6, 7], &[8]]), shard(&[&[9]])]).unwrap();
        let packing = Packing::new(&stream, 4).unwrap();
        assert_eq!(packing.samples(), 3);
        let first = packing.row(&stream, 0);
        assert_eq!(first, PackedRow { ids: vec![0, 5, 6, 7], targets: vec![5, 6, 7, 1], starts: vec![0; 4] });
        let second = packing.row(&stream, 1);
        assert_eq!(
            second,
            PackedRow { ids: vec![1, 0, 8, 1], targets: vec![SKIP, 8, 1, SKIP], starts: vec![0, 1, 1, 1] }
        );
        let third = packing.row(&stream, 2);
        assert_eq!(
            third,
            PackedRow { ids: vec![0, 9, 1, 1], targets: vec![9, 1, SKIP, SKIP], starts: vec![0, 0, 0, 3] }
        );
    }

    #[test]
    fn a_boundary_right_behind_the_row_hides_the_last_target() {
        let stream = TokenStream::new(vec![shard(&[&[5, 6], &[7, 8]])]).unwrap();
        let row = Packing::new(&stream, 4).unwrap().row(&stream, 0);
        assert_eq!(row.targets, [5, 6, 1, SKIP]);
    }

    #[test]
    fn a_context_longer_than_any_document_holds_several() {
        // The row is 0 5 6 1 | 0 7 1, then padding.
        let stream = TokenStream::new(vec![shard(&[&[5, 6], &[7]])]).unwrap();
        let packing = Packing::new(&stream, 9).unwrap();
        assert_eq!(packing.samples(), 1);
        assert_eq!(
            packing.row(&stream, 0),
            PackedRow {
                ids: vec![0, 5, 6, 1, 0, 7, 1, 1, 1],
                targets: vec![5, 6, 1, SKIP, 7, 1, SKIP, SKIP, SKIP],
                starts: vec![0, 0, 0, 0, 4, 4, 4, 7, 8],
            }
        );
        assert!(Packing::new(&stream, 0).is_err());
    }

    proptest! {
        /// Over one epoch, each token that does not start a document is a target exactly once.
        #[test]
        fn every_token_is_a_target_once(lengths in prop::collection::vec(0usize..9, 1..12), context in 2usize..40, cut in 0usize..12) {
            let documents: Vec<Vec<u32>> = lengths.iter().map(|n| (0..*n as u32).map(|t| t + 2).collect()).collect();
            let borrowed: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
            let (left, right) = borrowed.split_at(cut.min(borrowed.len()));
            let stream = TokenStream::new(vec![shard(left), shard(right)]).unwrap();
            let packing = Packing::new(&stream, context).unwrap();
            let mut targets: Vec<u32> = Vec::new();
            for index in 0..packing.samples() {
                let row = packing.row(&stream, index);
                prop_assert_eq!((row.ids.len(), row.targets.len(), row.starts.len()), (context, context, context));
                targets.extend(row.targets.iter().filter(|t| **t >= 0).map(|t| *t as u32));
                for (position, start) in row.starts.iter().enumerate() {
                    prop_assert!(*start as usize <= position);
                    let own = &row.ids[*start as usize + 1..=position.max(*start as usize)];
                    prop_assert!(!own.contains(&0), "a document starts inside the attended part");
                }
            }
            let wanted: Vec<u32> = documents.iter().flat_map(|d| d.iter().copied().chain([1])).collect();
            prop_assert_eq!(targets, wanted);
        }
    }
}
