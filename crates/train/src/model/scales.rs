//! Factors on the optimizer's settings that the scheme of the initial weights asks for, parameter by parameter.
//!
//! CompleteP (Dey et al. 2025, "Don't be lazy: CompleteP enables compute-efficient deep transformers", table 1, alpha = 1)
//! scales a model whose settings were found at a base width and depth. With `m` the width and `l` the depth as multiples
//! of the base, AdamW's learning rate `n`, epsilon `e`, weight decay `d` and initial standard deviation `s`:
//!
//! | parameter | forward | s | n | e | d |
//! |---|---|---|---|---|---|
//! | embedding | | s | n | e / m | d |
//! | matrices and norms of blocks | | s / sqrt(m) | n / m (norms: n) | e / (m l) | d m |
//! | branch of a block | times 1 / l | | | | |
//! | final norm | | | n | e | |
//! | output head | times 1 / m | | | | |
//!
//! The factors of the forward pass are put into the weights, so that the model is a Llama: with AdamW, a matrix `W` that
//! is used as `c W` trains like `W' = c W` with `n c`, `e / c` and `d / c`. The factor of a branch goes into the matrix
//! that ends it, the one of the head into the final norm, whose output it is multiplied by.

use std::collections::BTreeMap;

use super::config::{Init, ModelConfig};

/// Factors on AdamW's settings for one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterScale {
    pub learning_rate: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

impl ParameterScale {
    pub const NONE: ParameterScale = ParameterScale { learning_rate: 1.0, epsilon: 1.0, weight_decay: 1.0 };
}

/// Factors by the path of the parameter; paths without factors are left out.
pub type Scales = BTreeMap<String, ParameterScale>;

/// Size of a model as a multiple of the base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CompleteP {
    pub width: f64,
    pub depth: f64,
}

impl CompleteP {
    /// Multiples of 1 for other schemes.
    pub fn of(config: &ModelConfig) -> Self {
        match config.init {
            Init::Completep { base_width, base_layers } => CompleteP {
                width: config.d_model as f64 / base_width as f64,
                depth: config.layers as f64 / base_layers as f64,
            },
            _ => CompleteP { width: 1.0, depth: 1.0 },
        }
    }
}

/// Paths of the parameters of a model in the module, in order.
pub fn parameter_paths(config: &ModelConfig) -> Vec<String> {
    let mut paths = vec!["embedding".to_owned()];
    let head_norms = ["query_norm", "key_norm"].iter().filter(|_| config.qk_norm);
    for layer in 0..config.layers {
        let parts = ["input_norm", "qkv"].iter().chain(head_norms.clone());
        let parts = parts.chain(&["attention_out", "ffn_norm", "ffn_in", "ffn_out"]);
        paths.extend(parts.map(|part| format!("blocks.{layer}.{part}")));
    }
    paths.push("final_norm".to_owned());
    paths
}

/// Factors for the parameters of a model.
pub fn scales(config: &ModelConfig) -> Scales {
    if !matches!(config.init, Init::Completep { .. }) {
        return Scales::new();
    }
    let CompleteP { width, depth } = CompleteP::of(config);
    let scale = |path: &str| {
        let part = path.rsplit('.').next().unwrap_or(path);
        let matrix = ParameterScale { learning_rate: 1.0 / width, epsilon: 1.0 / (width * depth), weight_decay: width };
        match part {
            "embedding" => ParameterScale { epsilon: 1.0 / width, ..ParameterScale::NONE },
            "final_norm" => ParameterScale { learning_rate: 1.0 / width, epsilon: width, weight_decay: width },
            "qkv" | "ffn_in" => matrix,
            "attention_out" | "ffn_out" => ParameterScale {
                learning_rate: matrix.learning_rate / depth,
                epsilon: matrix.epsilon * depth,
                weight_decay: matrix.weight_decay * depth,
            },
            _ => ParameterScale { learning_rate: 1.0, epsilon: matrix.epsilon, weight_decay: 1.0 },
        }
    };
    parameter_paths(config).into_iter().map(|path| (path.clone(), scale(&path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(width: usize, layers: usize) -> ModelConfig {
        let init = Init::Completep { base_width: 64, base_layers: 2 };
        ModelConfig { d_model: width, layers, init, ..ModelConfig::preset("tiny").unwrap() }
    }

    #[test]
    fn the_base_model_has_no_factors() {
        let base = scales(&scaled(64, 2));
        assert_eq!(base.len(), 2 + 2 * 6);
        assert!(base.values().all(|scale| *scale == ParameterScale::NONE), "{base:?}");
        assert!(scales(&ModelConfig::preset("tiny").unwrap()).is_empty());
    }

    /// Four times as wide, three times as deep, by hand from the table.
    #[test]
    fn a_larger_model_has_those_of_the_table() {
        let larger = scales(&scaled(256, 6));
        let scale = |path: &str| {
            let ParameterScale { learning_rate, epsilon, weight_decay } = larger[path];
            [learning_rate, epsilon, weight_decay]
        };
        let near = |found: [f64; 3], wanted: [f64; 3]| {
            let close = found.iter().zip(&wanted).all(|(found, wanted)| (found / wanted - 1.0).abs() < 1e-12);
            assert!(close, "{found:?} is not {wanted:?}");
        };
        near(scale("embedding"), [1.0, 0.25, 1.0]);
        near(scale("blocks.5.qkv"), [0.25, 1.0 / 12.0, 4.0]);
        near(scale("blocks.0.ffn_in"), [0.25, 1.0 / 12.0, 4.0]);
        // With the factor 1/3 of the branch in the weight.
        near(scale("blocks.2.ffn_out"), [0.25 / 3.0, 3.0 / 12.0, 12.0]);
        near(scale("blocks.2.input_norm"), [1.0, 1.0 / 12.0, 1.0]);
        near(scale("final_norm"), [0.25, 4.0, 4.0]);
    }
}
