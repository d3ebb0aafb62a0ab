//! Adapters as named tensors, with the names and layouts of PEFT.

use std::collections::BTreeMap;

use super::config::{LoraConfig, Target};
use crate::model::config::ModelConfig;
use crate::model::weights::NamedTensor;
use stepwell_base::rng::{Rng, derive_seed};

/// The matrices of an adapter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// `[r, in]`.
    A,
    /// `[out, r]`.
    B,
}

/// One tensor of the adapters of a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdapterSpec {
    pub layer: usize,
    pub target: Target,
    pub side: Side,
    pub shape: [usize; 2],
}

impl AdapterSpec {
    /// Name in PEFT's file.
    pub fn name(&self) -> String {
        let side = match self.side {
            Side::A => "lora_A",
            Side::B => "lora_B",
        };
        format!("base_model.model.model.layers.{}.{}.{side}.weight", self.layer, self.target.part())
    }

    /// Initial value: A is uniform within `1 / sqrt(in)`, which is PyTorch's `kaiming_uniform_` with `a = sqrt(5)`, and B is
    /// zero, so that the model starts as it was. A pure function of the seed and the name.
    fn initial(&self, seed: u64) -> Vec<f32> {
        let length = self.shape.iter().product();
        if self.side == Side::B {
            return vec![0.0; length];
        }
        let bound = 1.0 / (self.shape[1] as f64).sqrt();
        let mut rng = Rng::new(derive_seed(seed, &format!("init/{}", self.name()), 0));
        (0..length).map(|_| ((2.0 * rng.uniform() - 1.0) * bound) as f32).collect()
    }
}

/// All tensors of the adapters, layer by layer.
pub fn adapter_specs(lora: &LoraConfig, config: &ModelConfig) -> Vec<AdapterSpec> {
    let of_target = |layer: usize, target: Target| {
        let [out, input] = target.shape(config);
        let spec = |side, shape| AdapterSpec { layer, target, side, shape };
        [spec(Side::A, [lora.r, input]), spec(Side::B, [out, lora.r])]
    };
    (0..config.layers).flat_map(|layer| lora.targets.iter().flat_map(move |target| of_target(layer, *target))).collect()
}

/// Adapters that change nothing yet.
pub fn initial_adapters(lora: &LoraConfig, config: &ModelConfig, seed: u64) -> BTreeMap<String, NamedTensor> {
    let tensor = |spec: AdapterSpec| {
        let (name, data) = (spec.name(), spec.initial(seed));
        (name.clone(), NamedTensor { name, shape: spec.shape.to_vec(), data })
    };
    adapter_specs(lora, config).into_iter().map(tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lora::BaseFormat;

    #[test]
    fn a_is_uniform_within_its_bound_and_b_is_zero() {
        let config = ModelConfig::preset("tiny").unwrap();
        let targets = vec![Target::QProj, Target::DownProj];
        let lora = LoraConfig { r: 8, alpha: 8.0, dropout: 0.0, rslora: false, targets, base: BaseFormat::F32 };
        let tensors = initial_adapters(&lora, &config, 3);
        assert_eq!(tensors.len(), 2 * 2 * 2);
        let of = |name: &str| &tensors[&format!("base_model.model.model.layers.1.{name}.weight")];
        let (a, b) = (of("mlp.down_proj.lora_A"), of("mlp.down_proj.lora_B"));
        assert_eq!((a.shape.as_slice(), b.shape.as_slice()), ([8, 176].as_slice(), [64, 8].as_slice()));
        assert!(b.data.iter().all(|value| *value == 0.0));
        let bound = 1.0 / 176f32.sqrt();
        let largest = a.data.iter().fold(0f32, |most, value| most.max(value.abs()));
        assert!(largest <= bound && largest > 0.99 * bound, "{largest} of {bound}");
        let mean = a.data.iter().sum::<f32>() / a.data.len() as f32;
        assert!(mean.abs() < 0.1 * bound, "{mean}");
        assert_eq!(tensors, initial_adapters(&lora, &config, 3));
        assert_ne!(tensors, initial_adapters(&lora, &config, 4));
    }
}
