//! Trigram model on the same split.

use super::minimal_pairs::Pair;
use crate::trigram::Trigram;
use stepwell_train::data::TokenStream;
use stepwell_train::evaluation::likelihood::Likelihood;

/// Trains a trigram model on whole documents, up to `limit` tokens because its counts are in memory. The first
/// document is always used.
///
/// # Errors
/// Those of `go_on`, which is called once per document.
pub fn train<E>(
    stream: &TokenStream,
    vocab: u32,
    limit: u64,
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<Trigram, E> {
    let mut model = Trigram::new(vocab);
    let mut tokens = Vec::new();
    for range in stream.document_ranges().take_while(|range| range.end <= limit || range.start == 0) {
        go_on()?;
        tokens.clear();
        stream.read(range, &mut tokens);
        model.train(&tokens);
    }
    Ok(model)
}

/// Likelihood of a stream: all tokens except each document's BOS.
///
/// # Errors
/// Those of `go_on`, which is called once per document.
pub fn of_stream<E>(
    model: &Trigram,
    stream: &TokenStream,
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<Likelihood, E> {
    let mut sum = Likelihood::default();
    let mut tokens = Vec::new();
    for range in stream.document_ranges() {
        go_on()?;
        tokens.clear();
        stream.read(range, &mut tokens);
        sum.nats -= model.log_prob(&tokens);
        sum.tokens += tokens.len() as u64 - 1;
    }
    Ok(sum)
}

/// Negative log-likelihoods of good and bad sentences.
pub fn of_pairs<'a>(model: &'a Trigram, pairs: &'a [Pair]) -> impl Iterator<Item = (f64, f64)> + 'a {
    pairs.iter().map(|pair| (-model.log_prob(&pair.good), -model.log_prob(&pair.bad)))
}
