//! Puts whole examples into rows. No example is cut in two, and those of a row do not attend to each other.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::DataError;
use super::packing::{NOT_COUNTED, PackedRow};
use super::stream::TokenStream;

/// Ranges of the examples in the stream, row by row.
#[derive(Clone, Debug, Default)]
pub struct Bins {
    rows: Vec<Vec<Range<u64>>>,
    /// Place of each row's first example in the stream; empty for rows of several examples.
    documents: Vec<u64>,
    /// Examples that are longer than a row: what follows is left out.
    pub cut: u64,
    /// Examples of which a row would learn nothing.
    pub left_out: u64,
}

/// An example with its place among all examples of the stream.
type Placed = (u64, Range<u64>);

/// What a row of `context` inputs holds of an example: one more token than inputs, because the last one is a target only.
fn kept(example: &Range<u64>, context: usize) -> Range<u64> {
    example.start..example.end.min(example.start + context as u64 + 1)
}

impl Bins {
    /// One example per row.
    ///
    /// # Errors
    /// [`DataError::NothingLearned`] when no example teaches anything.
    pub fn single(stream: &TokenStream, context: usize) -> Result<Bins, DataError> {
        let (bins, examples) = Bins::examples(stream, context)?;
        let (documents, rows) = examples.into_iter().map(|(document, example)| (document, vec![example])).unzip();
        Ok(Bins { rows, documents, ..bins })
    }

    /// Two examples per row, each padded to the context: a chosen answer and a rejected one. A pair is left out if one of them
    /// teaches nothing.
    ///
    /// # Errors
    /// [`DataError::NothingLearned`] when no pair teaches anything.
    pub fn pairs(stream: &TokenStream, context: usize) -> Result<Bins, DataError> {
        let (mut bins, examples) = Bins::examples(stream, context)?;
        for pair in examples.windows(2) {
            let [(document, chosen), (next, rejected)] = pair else { continue };
            if document.is_multiple_of(2) && *next == document + 1 {
                bins.rows.push(vec![chosen.clone(), rejected.clone()]);
                bins.documents.push(*document);
            }
        }
        if bins.rows.is_empty() { Err(DataError::NothingLearned) } else { Ok(bins) }
    }

    /// Place in the stream of the first example of row `index`.
    pub fn document(&self, index: u64) -> Option<u64> {
        self.documents.get(index as usize).copied()
    }

    /// Several examples per row: the longest first, each into the fullest row that has room (best fit, decreasing). Examples
    /// of equal length, and rows with equal room, keep their order.
    ///
    /// # Errors
    /// [`DataError::NothingLearned`] when no example teaches anything.
    pub fn best_fit(stream: &TokenStream, context: usize) -> Result<Bins, DataError> {
        let (bins, examples) = Bins::examples(stream, context)?;
        let mut examples: Vec<Range<u64>> = examples.into_iter().map(|(_, example)| example).collect();
        examples.sort_by_key(|example| std::cmp::Reverse(inputs(example)));
        let mut rows: Vec<Vec<Range<u64>>> = Vec::new();
        // Rows by the inputs that they have room for.
        let mut room: BTreeMap<usize, BTreeMap<usize, ()>> = BTreeMap::new();
        for example in examples {
            let needs = inputs(&example);
            let fullest = room.range(needs..).next().and_then(|(left, rows)| Some((*left, *rows.keys().next()?)));
            let (left, row) = match fullest {
                Some((left, row)) => {
                    if let Some(rows) = room.get_mut(&left) {
                        rows.remove(&row);
                        if rows.is_empty() {
                            room.remove(&left);
                        }
                    }
                    (left, row)
                }
                None => {
                    rows.push(Vec::new());
                    (context, rows.len() - 1)
                }
            };
            rows[row].push(example);
            if left > needs {
                room.entry(left - needs).or_default().insert(row, ());
            }
        }
        Ok(Bins { rows, ..bins })
    }

    /// The examples that teach something, with their places in the stream, and how many do not or are cut.
    fn examples(stream: &TokenStream, context: usize) -> Result<(Bins, Vec<Placed>), DataError> {
        if context == 0 {
            return Err(DataError::NoContext);
        }
        let (mut bins, mut examples) = (Bins::default(), Vec::new());
        let mut learned = Vec::new();
        for (document, example) in (0..).zip(stream.document_ranges()) {
            let kept = kept(&example, context);
            learned.clear();
            stream.read_learned(kept.clone(), &mut learned);
            if !learned.iter().skip(1).any(|learned| *learned) {
                bins.left_out += 1;
                continue;
            }
            bins.cut += u64::from(kept != example);
            examples.push((document, kept));
        }
        if examples.is_empty() { Err(DataError::NothingLearned) } else { Ok((bins, examples)) }
    }

    pub fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The two examples of row `index` one behind the other, each padded to `context` and with positions of its own.
    pub fn pair(&self, stream: &TokenStream, index: u64, context: usize) -> PackedRow {
        let mut pair = PackedRow::default();
        for example in &self.rows[index as usize] {
            let row = row_of(stream, std::slice::from_ref(example), context);
            pair.ids.extend(row.ids);
            pair.targets.extend(row.targets);
            pair.starts.extend(row.starts);
        }
        pair
    }

    /// Row `index`, padded to `context`.
    pub fn row(&self, stream: &TokenStream, index: u64, context: usize) -> PackedRow {
        row_of(stream, &self.rows[index as usize], context)
    }
}

/// The examples one behind the other, padded to `context`.
fn row_of(stream: &TokenStream, examples: &[Range<u64>], context: usize) -> PackedRow {
    let mut row = PackedRow::default();
    let (mut tokens, mut learned) = (Vec::new(), Vec::new());
    for example in examples {
        tokens.clear();
        learned.clear();
        stream.read(example.clone(), &mut tokens);
        stream.read_learned(example.clone(), &mut learned);
        let start = row.ids.len() as u32;
        let inputs = inputs(example);
        row.ids.extend_from_slice(&tokens[..inputs]);
        let targets = tokens[1..].iter().zip(&learned[1..]);
        row.targets.extend(targets.map(|(token, learned)| if *learned { *token as i32 } else { NOT_COUNTED }));
        row.starts.extend(std::iter::repeat_n(start, inputs));
    }
    row.pad(context, stream.header().eos);
    row
}

/// Inputs of a kept example.
fn inputs(example: &Range<u64>) -> usize {
    (example.end - example.start) as usize - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{examples, examples_of};
    use super::*;
    use stepwell_base::token_file::Unit;

    /// An example of `prompt` tokens that are not learned, and `answer` that are.
    fn example(first: u32, prompt: usize, answer: usize) -> Vec<(u32, bool)> {
        (0..prompt + answer).map(|place| (first + place as u32, place >= prompt)).collect()
    }

    fn stream(documents: &[Vec<(u32, bool)>]) -> TokenStream {
        let documents: Vec<&[(u32, bool)]> = documents.iter().map(Vec::as_slice).collect();
        TokenStream::new(vec![examples(&documents)]).unwrap()
    }

    #[test]
    fn the_prompt_is_seen_and_not_learned() {
        let stream = stream(&[example(10, 2, 2), example(20, 1, 1)]);
        let bins = Bins::single(&stream, 4).unwrap();
        assert_eq!((bins.len(), bins.cut, bins.left_out), (2, 0, 0));
        assert_eq!(
            bins.row(&stream, 0, 4),
            PackedRow { ids: vec![10, 11, 12, 1], targets: vec![-1, 12, 13, -1], starts: vec![0, 0, 0, 3] }
        );
        assert_eq!(
            bins.row(&stream, 1, 4),
            PackedRow { ids: vec![20, 1, 1, 1], targets: vec![21, -1, -1, -1], starts: vec![0, 1, 2, 3] }
        );
    }

    #[test]
    fn examples_of_a_row_do_not_see_each_other() {
        let stream = stream(&[example(10, 1, 2), example(20, 2, 3), example(30, 1, 1)]);
        let bins = Bins::best_fit(&stream, 6).unwrap();
        assert_eq!(bins.len(), 2);
        // The longest has 4 inputs, then one of 2, which fills the row.
        assert_eq!(
            bins.row(&stream, 0, 6),
            PackedRow {
                ids: vec![20, 21, 22, 23, 10, 11],
                targets: vec![-1, 22, 23, 24, 11, 12],
                starts: vec![0, 0, 0, 0, 4, 4]
            }
        );
    }

    #[test]
    fn a_long_example_is_cut_and_one_that_teaches_nothing_is_left_out() {
        let stream = stream(&[example(10, 2, 9), example(30, 9, 2), example(50, 1, 0)]);
        let bins = Bins::single(&stream, 4).unwrap();
        assert_eq!((bins.len(), bins.cut, bins.left_out), (1, 1, 2));
        assert_eq!(bins.row(&stream, 0, 4).targets, [-1, 12, 13, 14]);
        let nothing = super::tests::stream(&[example(50, 5, 0)]);
        assert!(matches!(Bins::single(&nothing, 4), Err(DataError::NothingLearned)));
        assert!(matches!(Bins::best_fit(&nothing, 0), Err(DataError::NoContext)));
    }

    #[test]
    fn pairs_are_two_rows_and_half_of_a_pair_is_none() {
        let documents = [
            example(10, 2, 2),
            example(20, 2, 1),
            example(30, 9, 1),
            example(40, 1, 1),
            example(50, 1, 2),
            example(60, 1, 1),
        ];
        let documents: Vec<&[(u32, bool)]> = documents.iter().map(Vec::as_slice).collect();
        let stream = TokenStream::new(vec![examples_of(Unit::Pair, &documents)]).unwrap();
        let bins = Bins::pairs(&stream, 4).unwrap();
        assert_eq!((bins.len(), bins.left_out, bins.document(0), bins.document(1)), (2, 1, Some(0), Some(4)));
        assert_eq!(
            bins.pair(&stream, 0, 4),
            PackedRow {
                ids: vec![10, 11, 12, 1, 20, 21, 1, 1],
                targets: vec![-1, 12, 13, -1, -1, 22, -1, -1],
                starts: vec![0, 0, 0, 3, 0, 0, 2, 3]
            }
        );
        assert_eq!(bins.pair(&stream, 1, 4).ids[..4], [50, 51, 1, 1]);
    }

    proptest! {
        /// Every learned token is a target exactly once, within its own example.
        #[test]
        fn every_learned_token_is_a_target_once(
            sizes in prop::collection::vec((1usize..6, 1usize..6), 1..40), context in 11usize..30
        ) {
            let documents: Vec<_> = sizes.iter().map(|(prompt, answer)| example(2, *prompt, *answer)).collect();
            let stream = stream(&documents);
            let learned: usize = sizes.iter().map(|(_, answer)| answer).sum();
            for bins in [Bins::single(&stream, context).unwrap(), Bins::best_fit(&stream, context).unwrap()] {
                let rows: Vec<PackedRow> = (0..bins.len()).map(|index| bins.row(&stream, index, context)).collect();
                let targets = rows.iter().flat_map(|row| &row.targets).filter(|target| **target >= 0).count();
                prop_assert_eq!(targets, learned);
                for row in &rows {
                    prop_assert_eq!((row.ids.len(), row.targets.len(), row.starts.len()), (context, context, context));
                    for (place, start) in row.starts.iter().enumerate() {
                        prop_assert!(*start as usize <= place);
                        if row.targets[place] >= 0 {
                            // Tokens of an example count up from 2.
                            prop_assert_eq!(row.ids[*start as usize], 2);
                            prop_assert_eq!(row.targets[place] as usize, 3 + place - *start as usize);
                        }
                    }
                }
            }
            let inputs: usize = sizes.iter().map(|(prompt, answer)| prompt + answer - 1).sum();
            let rows = Bins::best_fit(&stream, context).unwrap().len() as usize;
            prop_assert!(rows >= inputs.div_ceil(context));
            // Best fit, decreasing, needs at most 11/9 of the best, and one row more (Dósa 2007).
            prop_assert!(rows <= sizes.len().min(2 * inputs.div_ceil(context) + 1));
        }
    }
}
