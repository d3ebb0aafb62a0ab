//! An interpolated trigram model over token ids: the baseline that a trained model has to beat.

use std::collections::HashMap;

/// Counts the tokens that followed each context of one and of two tokens.
///
/// Probabilities are interpolated by Witten and Bell's method (1991), from the uniform distribution up:
/// `p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h))`, with `T(h)` the number of different tokens seen after
/// `h` and `h'` the context without its first token.
#[derive(Clone, Debug, Default)]
pub struct Trigram {
    vocab_size: u32,
    unigrams: Context,
    /// Keyed by the previous token.
    bigrams: HashMap<u32, Context>,
    /// Keyed by the two previous tokens.
    trigrams: HashMap<(u32, u32), Context>,
}

/// Tokens seen after one context.
#[derive(Clone, Debug, Default)]
struct Context {
    total: u64,
    next: HashMap<u32, u64>,
}

impl Context {
    fn add(&mut self, token: u32) {
        self.total += 1;
        *self.next.entry(token).or_default() += 1;
    }

    fn probability(&self, token: u32, shorter: f64) -> f64 {
        if self.total == 0 {
            return shorter;
        }
        let count = self.next.get(&token).copied().unwrap_or(0) as f64;
        let different = self.next.len() as f64;
        (count + different * shorter) / (self.total as f64 + different)
    }
}

impl Trigram {
    /// An empty model: every token is equally likely.
    ///
    /// # Panics
    /// When `vocab_size` is 0.
    pub fn new(vocab_size: u32) -> Self {
        assert!(vocab_size > 0, "a model needs at least one token");
        Trigram { vocab_size, ..Trigram::default() }
    }

    /// Counts one document, with its `BOS` and `EOS`. The first token is context only: nothing predicts it.
    pub fn train(&mut self, document: &[u32]) {
        for (at, token) in document.iter().enumerate().skip(1) {
            let before = document[at - 1];
            self.unigrams.add(*token);
            self.bigrams.entry(before).or_default().add(*token);
            if at >= 2 {
                self.trigrams.entry((document[at - 2], before)).or_default().add(*token);
            }
        }
    }

    /// Probability of `token` after `context`; only the last two tokens of the context count.
    pub fn probability(&self, context: &[u32], token: u32) -> f64 {
        let mut probability = self.unigrams.probability(token, 1.0 / f64::from(self.vocab_size));
        let mut before = context.iter().rev();
        if let Some(last) = before.next() {
            if let Some(seen) = self.bigrams.get(last) {
                probability = seen.probability(token, probability);
            }
            if let Some(seen) = before.next().and_then(|first| self.trigrams.get(&(*first, *last))) {
                probability = seen.probability(token, probability);
            }
        }
        probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> Trigram {
        let mut model = Trigram::new(6);
        model.train(&[0, 2, 3, 4, 1]);
        model.train(&[0, 2, 3, 5, 1]);
        model.train(&[0, 3, 4, 1]);
        model
    }

    #[test]
    fn probabilities_sum_to_one_in_every_context() {
        let model = trained();
        for context in [vec![], vec![0], vec![2, 3], vec![5, 5], vec![0, 2], vec![4, 3], vec![3, 4, 1]] {
            let sum: f64 = (0..6).map(|token| model.probability(&context, token)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{context:?} sums to {sum}");
        }
    }

    #[test]
    fn equals_witten_and_bell_by_hand() {
        let model = trained();
        // Unigrams: 11 tokens, 5 different. Token 4: 2 times.
        let unigram = (2.0 + 5.0 / 6.0) / (11.0 + 5.0);
        // After 3: 4, 5, 4. After (2, 3): 4, 5.
        let bigram = (2.0 + 2.0 * unigram) / (3.0 + 2.0);
        let trigram = (1.0 + 2.0 * bigram) / (2.0 + 2.0);
        assert!((model.probability(&[0, 2, 3], 4) - trigram).abs() < 1e-15);
        assert!((model.probability(&[1, 3], 4) - bigram).abs() < 1e-15);
        assert!((model.probability(&[1], 4) - unigram).abs() < 1e-15);
        assert!((Trigram::new(6).probability(&[2, 3], 4) - 1.0 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn what_was_seen_is_likelier_than_what_was_not() {
        let model = trained();
        let log_prob = |tokens: &[u32]| -> f64 {
            (1..tokens.len()).map(|at| model.probability(&tokens[..at], tokens[at]).ln()).sum()
        };
        assert!(log_prob(&[0, 2, 3, 4, 1]) > log_prob(&[0, 2, 4, 3, 1]));
    }
}
