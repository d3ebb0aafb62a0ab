//! Numbers of each layer in one training step: the norm of its gradient, and how far the update moves its weights.

use std::collections::BTreeMap;

use crate::model::Transformer;
use crate::model::shared::Shared;
use crate::model::weights::{NamedTensor, Values};
use crate::optim::GradientSum;

/// A step whose layers are measured: the state before its update.
pub struct LayerStats {
    /// L2 norms of the gradients before clipping, by layer.
    gradients: BTreeMap<String, f64>,
    /// Shared with the model, so the update makes new ones.
    before: Vec<NamedTensor<Shared>>,
}

impl LayerStats {
    /// Call it before the update.
    pub fn start(gradients: &GradientSum, model: &Transformer) -> Self {
        let mut squares = BTreeMap::new();
        for (path, sum) in gradients.squares(model) {
            *squares.entry(layer_of(&path)).or_insert(0.0) += sum;
        }
        let gradients = squares.into_iter().map(|(layer, sum): (String, f64)| (layer, sum.sqrt())).collect();
        LayerStats { gradients, before: model.trained() }
    }

    /// Numbers by name: `grad_norm/LAYER`, and `update_ratio/LAYER`, the L2 norm of the update as a share of that of the
    /// weights. Layers that are not trained have none.
    pub fn finish(self, updated: &Transformer) -> BTreeMap<String, f64> {
        let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for (before, after) in self.before.into_iter().zip(updated.trained()) {
            let layer = layer_of(&before.name);
            if self.gradients.contains_key(&layer) {
                let (moved, size) = before.data.read(|before| after.data.read(|after| squares(before, after)));
                let sum = sums.entry(layer).or_default();
                *sum = (sum.0 + moved, sum.1 + size);
            }
        }
        let ratios = sums.into_iter().filter(|(_, (_, size))| *size > 0.0);
        let ratios = ratios.map(|(layer, (moved, size))| (format!("update_ratio/{layer}"), (moved / size).sqrt()));
        let norms = self.gradients.into_iter().map(|(layer, norm)| (format!("grad_norm/{layer}"), norm));
        norms.chain(ratios).collect()
    }
}

/// Sums of the squares of the differences and of the earlier values.
fn squares(before: &[f32], after: &[f32]) -> (f64, f64) {
    before.iter().zip(after).fold((0.0, 0.0), |(moved, size), (before, after)| {
        let (before, after) = (f64::from(*before), f64::from(*after));
        (moved + (after - before).powi(2), size + before.powi(2))
    })
}

/// `layer.3`, `embedding` or `final_norm`, for the path of a parameter and for the name of a weight.
fn layer_of(name: &str) -> String {
    let number = name.strip_prefix("blocks.").or_else(|| name.split_once("model.layers.").map(|(_, rest)| rest));
    match number.and_then(|rest| rest.split('.').next()) {
        Some(number) => format!("layer.{number}"),
        None if name.contains("norm") => "final_norm".to_owned(),
        None => "embedding".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_weights_of_a_layer_have_one_name() {
        for (name, layer) in [
            ("blocks.12.qkv", "layer.12"),
            ("model.layers.12.self_attn.q_proj.weight", "layer.12"),
            ("blocks.0.attention_norm", "layer.0"),
            ("blocks.3.lora.q_proj.a", "layer.3"),
            ("base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight", "layer.3"),
            ("embedding", "embedding"),
            ("model.embed_tokens.weight", "embedding"),
            ("final_norm", "final_norm"),
            ("model.norm.weight", "final_norm"),
        ] {
            assert_eq!(layer_of(name), layer, "{name}");
        }
    }

    #[test]
    fn sums_are_those_of_squares() {
        assert_eq!(squares(&[3.0, 4.0], &[3.0, 2.0]), (4.0, 25.0));
    }
}
