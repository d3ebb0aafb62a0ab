//! Scores that a model gives to known tokens, as plain numbers.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use crate::model::{Batch, Transformer};

/// Scores of the next token after each token of `window`: `[window][vocab_size]`.
///
/// # Panics
/// When the window is longer than the context or names an id outside the vocabulary.
pub fn logits(model: &Transformer, window: &[u32]) -> Vec<Vec<f32>> {
    let Some(device) = model.devices().into_iter().next().filter(|_| !window.is_empty()) else { return Vec::new() };
    let ids: Vec<i64> = window.iter().copied().map(i64::from).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, window.len()]), &device);
    let scores = model.logits(ids, &vec![0; window.len()]).into_data_as::<f32>().iter::<f32>().collect::<Vec<f32>>();
    scores.chunks(model.config().vocab_size).map(<[f32]>::to_vec).collect()
}

/// Cross-entropy, in nats, of every token of the window but the first.
///
/// # Panics
/// Under the conditions of [`logits`].
pub fn token_nll(model: &Transformer, window: &[u32]) -> Vec<f32> {
    let Some((_, targets)) = window.split_first().filter(|(_, targets)| !targets.is_empty()) else { return Vec::new() };
    let batch = Batch {
        ids: window[..targets.len()].to_vec(),
        targets: targets.iter().map(|id| *id as i32).collect(),
        starts: vec![0; targets.len()],
        batch: 1,
        seq: targets.len(),
        dropout_seed: None,
    };
    model.token_nll(&batch).into_data().iter::<f32>().collect()
}
