//! Adds adapters to the matrices that they belong to.

use std::collections::BTreeMap;

use super::config::LoraConfig;
use super::tensors::{AdapterSpec, Side, adapter_specs};
use crate::model::config::ModelConfig;
use crate::model::layout::layer_weight;
use crate::model::weights::NamedTensor;
use crate::ops::gemm::{View, matmul};
use crate::precision::Precision;

/// `W + scale * B A` for every matrix with an adapter, in f32, as PEFT's `merge_and_unload` computes it.
pub fn merge(weights: &mut [NamedTensor], lora: &LoraConfig, config: &ModelConfig, adapters: &[NamedTensor]) {
    let adapters: BTreeMap<&str, &NamedTensor> = adapters.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut of_weight: BTreeMap<String, [&NamedTensor; 2]> = BTreeMap::new();
    for spec in adapter_specs(lora, config).into_iter().filter(|spec| spec.side == Side::A) {
        let b = AdapterSpec { side: Side::B, ..spec.clone() };
        if let (Some(a), Some(b)) = (adapters.get(spec.name().as_str()), adapters.get(b.name().as_str())) {
            of_weight.insert(layer_weight(spec.layer, &spec.target.part()), [*a, *b]);
        }
    }
    let scale = lora.scale() as f32;
    for weight in weights {
        let Some([a, b]) = of_weight.get(&weight.name) else { continue };
        let (a, b) = (view(a), view(b));
        let product = matmul(b, a, Precision::F32);
        for (value, added) in weight.data.iter_mut().zip(product) {
            *value += scale * added;
        }
    }
}

fn view(tensor: &NamedTensor) -> View<'_> {
    View::new(&tensor.data, tensor.shape[0], tensor.shape[1])
}
