//! Counts of tokens, the baselines that a trained model has to beat, on the same token files.

use super::minimal_pairs::Pair;
use crate::evaluation::samples::Novelty;
use crate::evaluation::scoring::Order;
use crate::trigram::Trigram;
use stepwell_train::data::TokenStream;
use stepwell_train::evaluation::likelihood::Likelihood;

/// Counts whole documents, up to `limit` tokens because the counts are in memory, and shows all documents to `novelty`. The first
/// document is always counted. Without novelty, the rest is not read.
///
/// # Errors
/// Those of `go_on`, which is called once per document.
pub fn read<E>(
    stream: &TokenStream,
    vocab: u32,
    limit: u64,
    novelty: &mut [(&'static str, Novelty)],
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<Trigram, E> {
    let mut model = Trigram::new(vocab);
    let mut tokens = Vec::new();
    for range in stream.document_ranges() {
        go_on()?;
        let is_counted = range.end <= limit || range.start == 0;
        if !is_counted && novelty.is_empty() {
            break;
        }
        tokens.clear();
        stream.read(range, &mut tokens);
        if is_counted {
            model.train(&tokens);
        }
        novelty.iter_mut().for_each(|(_, novelty)| novelty.see(&tokens));
    }
    Ok(model)
}

/// Likelihood of a stream: all tokens except each document's BOS.
///
/// # Errors
/// Those of `go_on`, which is called once per document.
pub fn of_stream<E>(
    model: &Trigram,
    order: Order,
    stream: &TokenStream,
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<Likelihood, E> {
    let mut sum = Likelihood::default();
    let mut tokens = Vec::new();
    for range in stream.document_ranges() {
        go_on()?;
        tokens.clear();
        stream.read(range, &mut tokens);
        sum.nats += order.nats(model, &tokens, 1);
        sum.tokens += tokens.len() as u64 - 1;
    }
    Ok(sum)
}

/// Negative log-likelihoods of good and bad sentences.
pub fn of_pairs<'a>(model: &'a Trigram, order: Order, pairs: &'a [Pair]) -> impl Iterator<Item = (f64, f64)> + 'a {
    pairs.iter().map(move |pair| (order.nats(model, &pair.good, 1), order.nats(model, &pair.bad, 1)))
}
