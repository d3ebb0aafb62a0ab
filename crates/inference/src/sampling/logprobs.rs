//! Log-probabilities of tokens.

use super::choose::descending;
use crate::cpu::{Instructions, LANES, exp, kernel};
use crate::kernels::largest;

/// A token and its log-probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logprob {
    pub token: u32,
    pub logprob: f32,
}

/// Log-probabilities at one position, of the model as it is: before biases, penalties and temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// The token that was chosen, or that the prompt has.
    pub chosen: Logprob,
    /// Its place among all tokens, from 1: one more than the number of likelier ones.
    pub rank: u32,
    /// The likeliest tokens, the likeliest first; then those that were asked for.
    pub top: Vec<Logprob>,
}

/// Log-probability of `token`, of the `count` likeliest tokens, and of those that were `asked` for.
pub fn logprobs(instructions: Instructions, scores: &[f32], token: u32, (count, asked): (usize, &[u32])) -> Logprobs {
    let best = scores[largest(instructions, scores)];
    let normaliser = f64::from(best) + sum_of_exponentials(instructions, scores, best).ln();
    let of = |token: u32| Logprob { token, logprob: (f64::from(scores[token as usize]) - normaliser) as f32 };
    let mut keys: Vec<u64> = Vec::new();
    if count > 0 {
        keys.extend((0..).zip(scores).map(|(id, score)| u64::from(descending(*score)) << 32 | id));
        if count < keys.len() {
            keys.select_nth_unstable(count);
            keys.truncate(count);
        }
        keys.sort_unstable();
    }
    let rank = 1 + scores.iter().filter(|score| **score > scores[token as usize]).count() as u32;
    let top = keys.into_iter().map(|key| key as u32).chain(asked.iter().copied());
    Logprobs { chosen: of(token), rank, top: top.map(of).collect() }
}

kernel! {
    fn sum_of_exponentials<'a>(scores: &'a [f32], best: f32) -> f64 {
        let mut sums = [0.0f64; LANES];
        let (blocks, rest) = scores.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += f64::from(exp(block[lane] - best));
            }
        }
        for (sum, score) in sums.iter_mut().zip(rest) {
            *sum += f64::from(exp(score - best));
        }
        sums.into_iter().fold(0.0, |total, sum| total + sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_those_of_the_softmax() {
        let scores: Vec<f32> = (0..77).map(|i| (i as f32 * 1.7).sin() * 5.0).collect();
        let total: f64 = scores.iter().map(|score| f64::from(*score).exp()).sum();
        let found = logprobs(Instructions::all()[0], &scores, 5, (3, &[]));
        let expected = |token: u32| f64::from(scores[token as usize]) - total.ln();
        for Logprob { token, logprob } in found.top.iter().chain([&found.chosen]) {
            assert!((f64::from(*logprob) - expected(*token)).abs() < 1e-6);
        }
        assert_eq!((found.chosen.token, found.top.len()), (5, 3));
        let mut sorted = scores.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(sorted[found.rank as usize - 1], scores[5]);
        assert_eq!(logprobs(Instructions::all()[0], &scores, found.top[0].token, (0, &[])).rank, 1);
        assert!(found.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
        let asked = logprobs(Instructions::all()[0], &scores, 5, (1, &[9, 4]));
        assert_eq!(asked.top.iter().map(|found| found.token).collect::<Vec<_>>(), [found.top[0].token, 9, 4]);
        assert!((f64::from(asked.top[1].logprob) - expected(9)).abs() < 1e-6);
    }
}
