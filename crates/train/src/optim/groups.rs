//! Settings that differ from parameter to parameter.

use serde::{Deserialize, Serialize};

use super::config::OptimizerConfig;
use crate::model::scales::{ParameterScale, Scales};
use crate::precision::is_one;

/// Settings for the parameters whose path a pattern matches.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ParameterGroup {
    /// Path of parameters such as `blocks.0.qkv`, where `*` stands for any characters.
    pub parameters: String,
    /// Factor on the learning rate.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lr_scale: f64,
    /// Weight decay in place of the optimizer's; also for vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

fn one() -> f64 {
    1.0
}

impl ParameterGroup {
    /// True if the group has the parameter with this path.
    pub fn has(&self, path: &str) -> bool {
        matches(&self.parameters, path)
    }
}

/// True if `text` is `pattern`, where `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Factors and decay of one parameter in one step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Settings {
    pub lr_scale: f64,
    pub epsilon_scale: f64,
    pub weight_decay: f64,
}

/// Settings of every parameter.
#[derive(Clone, Debug, Default)]
pub(super) struct Grouped {
    groups: Vec<ParameterGroup>,
    scales: Scales,
}

impl Grouped {
    pub fn new(config: &OptimizerConfig, scales: Scales) -> Self {
        Grouped { groups: config.groups.clone(), scales }
    }

    /// True if all parameters have the settings of the optimizer.
    pub fn is_uniform(&self) -> bool {
        self.groups.is_empty() && self.scales.is_empty()
    }

    /// Settings of a parameter with `dimensions`.
    pub fn of(&self, path: &str, dimensions: usize, weight_decay: f64) -> Settings {
        let by_shape = if dimensions >= 2 { weight_decay } else { 0.0 };
        if self.is_uniform() {
            return Settings { lr_scale: 1.0, epsilon_scale: 1.0, weight_decay: by_shape };
        }
        let group = self.groups.iter().find(|group| group.has(path));
        let scale = self.scales.get(path).copied().unwrap_or(ParameterScale::NONE);
        Settings {
            lr_scale: group.map_or(1.0, |group| group.lr_scale) * scale.learning_rate,
            epsilon_scale: scale.epsilon,
            weight_decay: group.and_then(|group| group.weight_decay).unwrap_or(by_shape) * scale.weight_decay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, is_match) in [
            ("embedding", "embedding", true),
            ("embedding", "embedding2", false),
            ("blocks.*.ffn_*", "blocks.12.ffn_out", true),
            ("blocks.1.*", "blocks.12.qkv", false),
            ("*norm", "blocks.3.input_norm", true),
            ("*norm", "blocks.3.norms", false),
            ("*", "final_norm", true),
            ("a*b*b", "ab", false),
            ("a*b*b", "a-b-b", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_group_decides_and_the_scale_of_the_scheme_multiplies() {
        let group = |parameters: &str, lr_scale, weight_decay| ParameterGroup {
            parameters: parameters.to_owned(),
            lr_scale,
            weight_decay,
        };
        let groups = vec![group("*norm", 0.5, Some(0.3)), group("blocks.*", 2.0, None), group("*", 9.0, Some(9.0))];
        let config = OptimizerConfig { groups, ..OptimizerConfig::default() };
        let scale = ParameterScale { learning_rate: 0.25, epsilon: 0.5, weight_decay: 4.0 };
        let grouped = Grouped::new(&config, Scales::from([("blocks.0.qkv".to_owned(), scale)]));
        let of = |path, dimensions| grouped.of(path, dimensions, 0.1);
        let settings = |lr_scale, epsilon_scale, weight_decay| Settings { lr_scale, epsilon_scale, weight_decay };
        assert_eq!(of("blocks.0.input_norm", 1), settings(0.5, 1.0, 0.3));
        assert_eq!(of("blocks.0.qkv", 2), settings(0.5, 0.5, 0.4));
        assert_eq!(of("blocks.1.qkv", 2), settings(2.0, 1.0, 0.1));
        assert_eq!(of("blocks.1.query_scale", 1), settings(2.0, 1.0, 0.0));
        assert_eq!(of("embedding", 2), settings(9.0, 1.0, 9.0));
        assert!(!grouped.is_uniform() && Grouped::default().is_uniform());
    }
}
