//! Likelihood of text under a model, in nats.

use crate::data::{NOT_COUNTED, PackedRow, TokenStream, row_at};
use crate::device::is_flex;
use crate::model::{Batch, Transformer};

/// Tokens in one forward pass. Their scores over the whole vocabulary are in memory at once.
const TOKENS_PER_BATCH: usize = 2048;

/// Negative log-likelihood of a text, summed over its tokens.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Likelihood {
    pub nats: f64,
    /// Predicted tokens: all but each document's BOS.
    pub tokens: u64,
}

impl Likelihood {
    /// Mean nats per token; NaN without tokens.
    pub fn mean(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    /// Exponential of the mean nats per token.
    pub fn perplexity(&self) -> f64 {
        self.mean().exp()
    }

    /// Bits per UTF-8 byte of the text, comparable between models with different tokenizers.
    pub fn bits_per_byte(&self, text_bytes: u64) -> f64 {
        self.nats / std::f64::consts::LN_2 / text_bytes as f64
    }
}

/// Computes the likelihood of a whole stream, in windows of the model's context that advance by half a context. Every
/// token counts once, with at least half a context or its whole document before it.
///
/// `progress` receives the number of windows done and in total after every batch, and may stop the work.
///
/// # Errors
/// Errors of `progress`.
pub fn of_stream<E>(
    model: &Transformer,
    stream: &TokenStream,
    mut progress: impl FnMut(u64, u64) -> Result<(), E>,
) -> Result<Likelihood, E> {
    let context = model.config().context;
    let stride = (context / 2).max(1);
    let windows = windows(stream.tokens(), context, stride);
    let per_batch = (TOKENS_PER_BATCH / context).max(1) as u64;
    let mut sum = Likelihood::default();
    let mut window = 0;
    while window < windows {
        let end = (window + per_batch).min(windows);
        let rows: Vec<PackedRow> = (window..end).map(|window| window_row(stream, window, context, stride)).collect();
        sum.tokens += rows.iter().flat_map(|row| &row.targets).filter(|target| **target >= 0).count() as u64;
        sum.nats += token_nats(model, rows).iter().flatten().sum::<f64>();
        window = end;
        progress(window, windows)?;
    }
    Ok(sum)
}

/// Computes the likelihood of the counted targets of rows of one length, which are not those of a stream's windows.
///
/// # Panics
/// When the rows do not fit the model.
pub fn of_rows(model: &Transformer, rows: &[PackedRow]) -> Likelihood {
    let width = rows.first().map_or(1, |row| row.ids.len().max(1));
    let mut sum = Likelihood::default();
    for rows in rows.chunks((TOKENS_PER_BATCH / width).max(1)) {
        sum.tokens += rows.iter().flat_map(|row| &row.targets).filter(|target| **target >= 0).count() as u64;
        sum.nats += token_nats(model, rows.to_vec()).iter().flatten().sum::<f64>();
    }
    sum
}

/// Negative log-likelihood of each sequence, summed over all its tokens but the first. A sequence must fit the
/// context: at most `context + 1` tokens.
///
/// # Panics
/// When a sequence is longer, or has fewer than two tokens.
pub fn of_sequences(model: &Transformer, sequences: &[&[u32]]) -> Vec<f64> {
    let whole: Vec<(&[u32], usize)> = sequences.iter().map(|sequence| (*sequence, 1)).collect();
    of_continuations(model, &whole)
}

/// Negative log-likelihood of each sequence, summed over its tokens from the given one on, which is not the first.
///
/// # Panics
/// Under the conditions of [`of_sequences`], and when all tokens of a sequence are to count.
pub fn of_continuations(model: &Transformer, sequences: &[(&[u32], usize)]) -> Vec<f64> {
    let mut results = Vec::with_capacity(sequences.len());
    let mut rest = sequences;
    while !rest.is_empty() {
        let (batch, tail) = rest.split_at(fitting(rest, model));
        let width = batch.iter().map(|(sequence, _)| width_for(sequence.len() - 1, model)).max().unwrap_or(0);
        let rows = batch.iter().map(|(sequence, from)| sequence_row(sequence, *from, width)).collect();
        results.extend(token_nats(model, rows).iter().map(|row| row.iter().sum::<f64>()));
        rest = tail;
    }
    results
}

/// Number of leading sequences that fit in one batch when padded to the longest; at least one.
fn fitting(sequences: &[(&[u32], usize)], model: &Transformer) -> usize {
    let mut width = 0;
    let fits = |(count, (sequence, _)): (usize, &(&[u32], usize))| {
        width = width.max(width_for(sequence.len() - 1, model));
        count == 0 || (count + 1) * width <= TOKENS_PER_BATCH
    };
    sequences.iter().enumerate().map(fits).take_while(|fits| *fits).count()
}

/// Row width for a sequence of `length` positions. A GPU tunes its kernels for each shape, so it gets few shapes.
fn width_for(length: usize, model: &Transformer) -> usize {
    if is_flex(&model.device()) { length } else { length.next_power_of_two().min(model.config().context) }
}

fn sequence_row(sequence: &[u32], from: usize, width: usize) -> PackedRow {
    let length = sequence.len() - 1;
    let mut row = PackedRow {
        ids: sequence[..length].to_vec(),
        targets: sequence[1..].iter().map(|token| *token as i32).collect(),
        starts: vec![0; length],
    };
    row.targets[..from - 1].fill(NOT_COUNTED);
    row.ids.resize(width, sequence[length]);
    row.targets.resize(width, NOT_COUNTED);
    row.starts.extend((length..width).map(|position| position as u32));
    row
}

/// Number of windows until every token but the first is the target of one.
fn windows(tokens: u64, context: usize, stride: usize) -> u64 {
    let inputs = tokens.saturating_sub(1);
    1 + inputs.saturating_sub(context as u64).div_ceil(stride as u64)
}

/// Row of a window. Only the last `stride` targets count; in the first window all of them count.
fn window_row(stream: &TokenStream, window: u64, context: usize, stride: usize) -> PackedRow {
    let mut row = row_at(stream, window * stride as u64, context);
    if window > 0 {
        row.targets[..context - stride].fill(NOT_COUNTED);
    }
    row
}

/// Nats of each position, 0 where the target is not counted.
fn token_nats(model: &Transformer, rows: Vec<PackedRow>) -> Vec<Vec<f64>> {
    let (counted, seq) = (rows.len(), rows[0].ids.len());
    // A GPU gets batches of one size, for the reason given at `width_for`.
    let whole = if is_flex(&model.device()) { counted } else { (TOKENS_PER_BATCH / seq).max(counted) };
    let empty = PackedRow { ids: vec![0; seq], targets: vec![NOT_COUNTED; seq], starts: vec![0; seq] };
    let (batch, rows) = (whole, rows.into_iter().chain(std::iter::repeat_n(empty, whole - counted)));
    let mut joined = Batch { ids: Vec::new(), targets: Vec::new(), starts: Vec::new(), batch, seq, dropout_seed: None };
    for row in rows {
        joined.ids.extend(row.ids);
        joined.targets.extend(row.targets);
        joined.starts.extend(row.starts);
    }
    let nats = model.token_nll(&joined).into_data_as::<f32>();
    let nats = nats.as_slice::<f32>().expect("just converted to f32");
    nats.chunks(seq).take(counted).map(|row| row.iter().map(|nats| f64::from(*nats)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TokenStream;
    use crate::data::fixtures::shard;
    use crate::device;
    use crate::model::config::{Ffn, ModelConfig};

    fn model(context: usize) -> Transformer {
        let config = ModelConfig {
            vocab_size: 300,
            context,
            layers: 1,
            d_model: 16,
            heads: 2,
            kv_heads: 2,
            head_dim: 8,
            ffn: Ffn::SwiGlu { hidden: 24 },
            init_std: 0.5,
            ..ModelConfig::preset("tiny").unwrap()
        };
        Transformer::init(&config, 3, &device::open("flex").unwrap())
    }

    fn documents(lengths: &[u32]) -> Vec<Vec<u32>> {
        lengths.iter().map(|n| (0..*n).map(|t| 2 + (t * 7 + n) % 290).collect()).collect()
    }

    fn stream(documents: &[Vec<u32>]) -> TokenStream {
        let borrowed: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
        TokenStream::new(vec![shard(&borrowed)]).unwrap()
    }

    fn measure(model: &Transformer, stream: &TokenStream) -> Likelihood {
        let Ok(found) = of_stream(model, stream, |_, _| Ok::<(), std::convert::Infallible>(()));
        found
    }

    /// Documents that fit in half a window are scored as if alone.
    #[test]
    fn short_documents_have_their_exact_likelihood() {
        let documents = documents(&[3, 5, 0, 2, 6, 4, 1, 5, 5, 2]);
        let model = model(16);
        let found = measure(&model, &stream(&documents));
        let alone: Vec<Vec<u32>> =
            documents.iter().map(|d| std::iter::once(0).chain(d.iter().copied()).chain([1]).collect()).collect();
        let alone: Vec<&[u32]> = alone.iter().map(Vec::as_slice).collect();
        let wanted: f64 = of_sequences(&model, &alone).iter().sum();
        assert!((found.nats / wanted - 1.0).abs() < 1e-6, "{} is not {wanted}", found.nats);
        assert_eq!(found.tokens, documents.iter().map(|d| d.len() as u64 + 1).sum::<u64>());
    }

    #[test]
    fn every_token_counts_once_whatever_the_lengths() {
        for lengths in [vec![0], vec![14], vec![15], vec![16], vec![40], vec![7, 30, 1, 100, 2], vec![8; 20]] {
            let documents = documents(&lengths);
            for context in [4, 5, 16] {
                let found = measure(&model(context), &stream(&documents));
                let wanted: u64 = lengths.iter().map(|n| u64::from(*n) + 1).sum();
                assert_eq!(found.tokens, wanted, "lengths {lengths:?} context {context}");
            }
        }
    }

    #[test]
    fn padding_in_a_batch_changes_nothing() {
        let model = model(16);
        let (short, long): (&[u32], &[u32]) = (&[0, 5, 6, 1], &[0, 9, 8, 7, 6, 5, 4, 3, 1]);
        let together = of_sequences(&model, &[short, long]);
        let apart = [of_sequences(&model, &[short])[0], of_sequences(&model, &[long])[0]];
        for (a, b) in together.iter().zip(apart) {
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
    }

    #[test]
    fn a_continuation_is_what_is_left_of_its_sequence() {
        let model = model(16);
        let sequence: &[u32] = &[0, 9, 8, 7, 6, 5, 4, 3, 1];
        let whole = of_sequences(&model, &[sequence])[0];
        // What comes later changes no score before it.
        let start = of_sequences(&model, &[&sequence[..5]])[0];
        let rest = of_continuations(&model, &[(sequence, 5), (&sequence[..5], 1)]);
        assert!((rest[0] - (whole - start)).abs() < 1e-4, "{rest:?}, {whole}, {start}");
        assert!((rest[1] - start).abs() < 1e-4);
    }

    #[test]
    fn units_follow_their_definitions() {
        let likelihood = Likelihood { nats: 8.0 * std::f64::consts::LN_2, tokens: 4 };
        assert!((likelihood.bits_per_byte(2) - 4.0).abs() < 1e-12);
        assert!((likelihood.perplexity() - 4.0).abs() < 1e-12);
    }
}
