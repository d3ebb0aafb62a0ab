//! Rows of a batch as answers.

use crate::data::NOT_COUNTED;
use crate::model::Batch;

/// Sum of the log-probabilities of each row's counted targets, and their number. `nll` has one number per token.
pub fn sums(nll: &[f32], batch: &Batch) -> Vec<(f64, f64)> {
    let rows = nll.chunks(batch.seq).zip(batch.targets.chunks(batch.seq));
    let sum = |(nll, targets): (&[f32], &[i32])| {
        let counted = nll.iter().zip(targets).filter(|(_, target)| **target >= 0);
        counted.fold((0.0, 0.0), |(sum, count), (nll, _)| (sum - f64::from(*nll), count + 1.0))
    };
    rows.map(sum).collect()
}

/// A weight per token: that of its row where its target counts, 0 elsewhere.
pub fn spread(of_rows: &[f64], batch: &Batch) -> Vec<f32> {
    let rows = of_rows.iter().zip(batch.targets.chunks(batch.seq));
    rows.flat_map(|(weight, targets)| targets.iter().map(|target| if *target < 0 { 0.0 } else { *weight as f32 }))
        .collect()
}

/// Targets of the whole text of each row, of which only the answer counts in `batch`: the next token, except in padding,
/// whose tokens see only themselves.
pub fn of_text(batch: &Batch) -> Vec<i32> {
    let target = |(at, target): (usize, &i32)| {
        let is_last = (at + 1).is_multiple_of(batch.seq);
        let continues = !is_last && batch.starts[at] == batch.starts[at + 1];
        if *target < 0 && continues { batch.ids[at + 1] as i32 } else { *target }
    };
    batch.targets.iter().enumerate().map(target).collect()
}

/// Each row's prompt with the answer of the row before it, as far as it fits. The first row has that of the last.
///
/// A row must have its whole prompt and at least one token of its answer.
pub fn mismatched(batch: &Batch, eos: u32) -> Batch {
    let rows: Vec<(&[u32], &[i32])> = batch.ids.chunks(batch.seq).zip(batch.targets.chunks(batch.seq)).collect();
    let mut turned = Batch { ids: Vec::new(), targets: Vec::new(), starts: Vec::new(), ..batch.clone() };
    for (number, (ids, targets)) in rows.iter().enumerate() {
        let prompt = targets.iter().position(|target| *target >= 0).map_or(0, |first| first + 1);
        let (_, others) = rows[(number + rows.len() - 1) % rows.len()];
        let answer = others.iter().filter_map(|target| u32::try_from(*target).ok());
        let text: Vec<u32> = ids[..prompt].iter().copied().chain(answer).take(batch.seq + 1).collect();
        let inputs = text.len().saturating_sub(1).min(batch.seq);
        let target = |at: usize| if at + 1 >= prompt && at < inputs { text[at + 1] as i32 } else { NOT_COUNTED };
        turned.ids.extend((0..batch.seq).map(|at| if at < inputs { text[at] } else { eos }));
        turned.targets.extend((0..batch.seq).map(target));
        turned.starts.extend((0..batch.seq).map(|at| if at < inputs { 0 } else { at as u32 }));
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows: prompt 10 11, answer 12 13 14; prompt 20, answer 21 and padding.
    fn batch() -> Batch {
        Batch {
            ids: vec![10, 11, 12, 13, 20, 1, 1, 1],
            targets: vec![-1, 12, 13, 14, 21, -1, -1, -1],
            starts: vec![0, 0, 0, 0, 0, 1, 2, 3],
            batch: 2,
            seq: 4,
            dropout_seed: None,
        }
    }

    #[test]
    fn answers_are_summed_and_weights_reach_their_tokens() {
        let nll = [9.0, 1.0, 2.0, 3.0, 0.5, 9.0, 9.0, 9.0];
        assert_eq!(sums(&nll, &batch()), [(-6.0, 3.0), (-0.5, 1.0)]);
        assert_eq!(spread(&[2.0, -1.0], &batch()), [0.0, 2.0, 2.0, 2.0, -1.0, 0.0, 0.0, 0.0]);
        assert_eq!(of_text(&batch()), [11, 12, 13, 14, 21, -1, -1, -1]);
    }

    #[test]
    fn mismatched_rows_have_the_answer_of_the_row_before() {
        let turned = mismatched(&batch(), 1);
        assert_eq!(turned.ids, [10, 11, 1, 1, 20, 12, 13, 1]);
        assert_eq!(turned.targets, [-1, 21, -1, -1, 12, 13, 14, -1]);
        assert_eq!(turned.starts, [0, 0, 2, 3, 0, 0, 0, 3]);
    }
}
