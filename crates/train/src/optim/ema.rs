//! Exponential moving average of the weights.

use std::collections::BTreeMap;

use super::buffers::Buffers;
use crate::cpu::simd::kernel;
use crate::cpu::thread_team;
use crate::model::Transformer;
use crate::model::shared::Shared;
use crate::model::weights::{NamedTensor, Values, WeightsError};

const CHUNK: usize = 1 << 14;

/// Average of the weights after each step: the first step's weights, then `e += (1 - decay) * (w - e)` (Polyak and
/// Juditsky 1992, with the decay of `torch.optim.swa_utils.get_ema_avg_fn`). In f32, on the host.
pub struct Ema {
    decay: f64,
    /// In the order of the model's weights; empty before the first step.
    weights: Vec<NamedTensor<Buffers<1>>>,
}

impl Ema {
    /// An average of nothing yet.
    pub fn new(decay: f64) -> Self {
        Ema { decay, weights: Vec::new() }
    }

    /// Continues the average that [`Ema::shared`] gave, of a model with the weights of `model`.
    ///
    /// # Errors
    /// When the tensors are not those of the model.
    pub fn from_named(
        decay: f64,
        model: &Transformer,
        tensors: &BTreeMap<String, NamedTensor>,
    ) -> Result<Self, WeightsError> {
        let averaged = model.with_weights(tensors)?;
        let host = |tensor: NamedTensor| NamedTensor {
            name: tensor.name,
            shape: tensor.shape,
            data: Buffers::host([tensor.data]),
        };
        Ok(Ema { decay, weights: averaged.to_named().into_iter().map(host).collect() })
    }

    /// Takes the weights after a step into the average.
    pub fn update(&mut self, model: &Transformer) {
        let weight = (1.0 - self.decay) as f32;
        let mut kept = std::mem::take(&mut self.weights).into_iter();
        self.weights = model
            .shared()
            .into_iter()
            .map(|NamedTensor { name, shape, data }| {
                let averaged = match kept.next() {
                    Some(kept) => {
                        let [mut average] = kept.data.into_host();
                        data.read(|now| approach(&mut average, now, weight));
                        average
                    }
                    None => data.read(<[f32]>::to_vec),
                };
                NamedTensor { name, shape, data: Buffers::host([averaged]) }
            })
            .collect();
    }

    /// The average under the names of the weights, shared with this value; empty before the first step.
    pub fn shared(&self) -> Vec<NamedTensor<Shared>> {
        let share = |tensor: &NamedTensor<Buffers<1>>| {
            let [data] = tensor.data.shared();
            NamedTensor { name: tensor.name.clone(), shape: tensor.shape.clone(), data }
        };
        self.weights.iter().map(share).collect()
    }

    /// A model with the average as its weights, on the device of `model`; `None` before the first step.
    ///
    /// # Panics
    /// When `model` has other weights than the model that was averaged.
    pub fn model(&self, model: &Transformer) -> Option<Transformer> {
        if self.weights.is_empty() {
            return None;
        }
        let named = |tensor: NamedTensor<Shared>| (tensor.name.clone(), tensor.into_host());
        let tensors = self.shared().into_iter().map(named).collect();
        Some(model.with_weights(&tensors).expect("the average of a model has its weights"))
    }
}

fn approach(average: &mut [f32], now: &[f32], weight: f32) {
    thread_team::each(average.chunks_mut(CHUNK).zip(now.chunks(CHUNK)), |(average, now)| {
        approach_chunk(average, now, weight);
    });
}

kernel! {
    fn approach_chunk<'a>(average: &'a mut [f32], now: &'a [f32], weight: f32) -> () {
        for (average, now) in average.iter_mut().zip(now) {
            *average = (*now - *average).mul_add(weight, *average);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use std::path::Path;

    use burn::tensor::Device;

    use super::*;
    use crate::model::config::{Ffn, ModelConfig};
    use crate::model::weights;

    fn config() -> ModelConfig {
        let tiny = ModelConfig::preset("tiny").unwrap();
        let ffn = Ffn::SwiGlu { hidden: 6 };
        ModelConfig { vocab_size: 9, layers: 1, d_model: 4, heads: 2, kv_heads: 1, head_dim: 2, ffn, ..tiny }
    }

    fn model(seed: u64) -> Transformer {
        Transformer::init(&config(), seed, &Device::flex())
    }

    /// Compares 20 steps with PyTorch's `AveragedModel` in f64.
    #[test]
    fn it_follows_pytorch() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/ema.safetensors");
        let golden = weights::load(&std::fs::read(path).unwrap()).unwrap();
        let size = golden["weights"].shape[1];
        let mut average: Vec<f32> = Vec::new();
        for (now, expected) in golden["weights"].data.chunks(size).zip(golden["averages"].data.chunks(size)) {
            if average.is_empty() {
                average = now.to_vec();
            } else {
                approach(&mut average, now, (1.0 - 0.9) as f32);
            }
            for (got, expected) in average.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
            }
        }
    }

    #[test]
    fn the_first_weights_are_the_average_and_later_ones_move_it() {
        let mut ema = Ema::new(0.75);
        assert!(ema.model(&model(1)).is_none() && ema.shared().is_empty());
        let (first, second) = (model(1).to_named(), model(2).to_named());
        ema.update(&model(1));
        assert_eq!(ema.model(&model(1)).unwrap().to_named(), first);
        let kept = ema.shared();
        ema.update(&model(2));
        let kept: Vec<_> = kept.into_iter().map(NamedTensor::into_host).collect();
        assert_eq!(kept, first, "what a snapshot shares does not change");
        for ((average, first), second) in ema.shared().into_iter().zip(&first).zip(&second) {
            let average = average.into_host();
            for ((average, first), second) in average.data.iter().zip(&first.data).zip(&second.data) {
                assert!((average - (0.75 * first + 0.25 * second)).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn a_file_continues_it_bit_for_bit_and_one_of_another_model_does_not() {
        let after = |seeds: &[u64], ema: &mut Ema| seeds.iter().for_each(|seed| ema.update(&model(*seed)));
        let file = |ema: &Ema| weights::save(ema.shared());
        let (mut whole, mut half) = (Ema::new(0.9), Ema::new(0.9));
        after(&[1, 2, 3, 4], &mut whole);
        after(&[1, 2], &mut half);
        let tensors = weights::load(&file(&half)).unwrap();
        let mut rest = Ema::from_named(0.9, &model(2), &tensors).unwrap();
        after(&[3, 4], &mut rest);
        assert!(file(&rest) == file(&whole));
        let fewer = tensors.into_iter().skip(1).collect();
        assert!(matches!(Ema::from_named(0.9, &model(2), &fewer), Err(WeightsError::Missing { .. })));
    }
}
