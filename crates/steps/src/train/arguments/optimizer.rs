//! Arguments of the optimizer.

use schemars::JsonSchema;
use serde::Deserialize;

use super::number::number_or_nan;
use stepwell_base::failure::Failure;
use stepwell_train::optim::{AdafactorConfig, MuonConfig, OptimizerConfig, ParameterGroup};
use stepwell_train::precision::is_positive_f32;

/// Rule that turns gradients into new weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW for all weights.
    AdamW,
    /// Muon for the matrices of blocks, AdamW for the embedding and norm weights.
    Muon,
    /// Adafactor for all weights: second moments of a matrix are one row and one column.
    Adafactor,
}

/// AdamW, Muon or Adafactor, with decoupled weight decay.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerArguments {
    /// `adamw`, or `muon`, which takes fewer steps to the same loss but more time per step. Its updates are as
    /// large as AdamW's, so no other setting needs to change. `adafactor` needs hardly any memory beside the weights.
    pub kind: OptimizerKind,
    /// Peak learning rate.
    #[serde(deserialize_with = "number_or_nan")]
    pub learning_rate: f64,
    /// Decay of matrices (embedding included) per unit of learning rate; norm weights never decay.
    pub weight_decay: f64,
    /// Decay of Muon's momentum. Default: 0.95.
    pub momentum: Option<f64>,
    /// Decay of AdamW's first moment.
    pub beta1: f64,
    /// Decay of AdamW's second moment.
    pub beta2: f64,
    /// Added to the square root of AdamW's second moment. Default: 1e-8; of Adafactor, to squares of gradients: 1e-30.
    pub epsilon: Option<f64>,
    /// Limit of the global gradient norm; 0 means no limit.
    pub clip: f64,
    /// Exponent of the step in the decay of Adafactor's second moment, `1 - step^decay_rate`. Default: -0.8.
    pub decay_rate: Option<f64>,
    /// Limit of the root mean square of Adafactor's update. Default: 1.
    pub clip_threshold: Option<f64>,
    /// Adafactor: the learning rate is relative to the root mean square of each parameter. Default: false.
    pub scale_parameter: Option<bool>,
    /// Other settings for some parameters, the first group with a parameter decides:
    /// `[{ parameters = "embedding", lr_scale = 0.5 }, { parameters = "blocks.*.ffn_*", weight_decay = 0.2 }]`.
    pub groups: Vec<GroupArguments>,
}

/// Settings for the parameters whose name a pattern matches.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupArguments {
    /// Names such as `embedding`, `final_norm` or `blocks.0.qkv`; `*` stands for any characters.
    pub parameters: String,
    /// Factor on the learning rate. Default: 1.
    #[serde(default)]
    pub lr_scale: Option<f64>,
    /// Weight decay in place of the optimizer's, also for norm weights.
    #[serde(default)]
    pub weight_decay: Option<f64>,
}

impl Default for OptimizerArguments {
    fn default() -> Self {
        let OptimizerConfig { beta1, beta2, weight_decay, .. } = OptimizerConfig::default();
        OptimizerArguments {
            kind: OptimizerKind::AdamW,
            learning_rate: 2e-3,
            weight_decay,
            momentum: None,
            beta1,
            beta2,
            epsilon: None,
            clip: 1.0,
            decay_rate: None,
            clip_threshold: None,
            scale_parameter: None,
            groups: Vec::new(),
        }
    }
}

impl OptimizerArguments {
    pub fn is_muon(&self) -> bool {
        self.kind == OptimizerKind::Muon
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Lists every setting outside the range in which the optimizer works.
    pub fn config(&self) -> Result<OptimizerConfig, Failure> {
        let OptimizerArguments { kind, weight_decay, momentum, beta1, beta2, .. } = *self;
        let default = MuonConfig::default().momentum;
        let muon = (kind == OptimizerKind::Muon).then(|| MuonConfig { momentum: momentum.unwrap_or(default) });
        let adafactor = (kind == OptimizerKind::Adafactor).then(|| self.adafactor());
        let epsilon = match adafactor {
            Some(adafactor) => adafactor.epsilon,
            None => self.epsilon.unwrap_or(OptimizerConfig::default().epsilon),
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        let settings = [
            ("weight_decay", weight_decay, (weight_decay as f32).is_finite() && weight_decay >= 0.0, "0 or more"),
            ("momentum", momentum.unwrap_or(default), share(momentum.unwrap_or(default)), "at least 0 and less than 1"),
            ("beta1", beta1, share(beta1), "at least 0 and less than 1"),
            ("beta2", beta2, share(beta2), "at least 0 and less than 1"),
            ("epsilon", epsilon, is_positive_f32(epsilon), "from 1.2e-38 to 3.4e38"),
        ];
        let wrong = settings.iter().filter(|(_, _, valid, _)| !valid);
        let mut problems: Vec<String> =
            wrong.map(|(name, value, _, rule)| format!("`optimizer.{name}` is {value:?}; it must be {rule}")).collect();
        problems.extend(self.misplaced());
        problems.extend(adafactor.and_then(problem_of_adafactor));
        problems.extend(self.groups.iter().filter_map(GroupArguments::problem));
        if self.groups.len() > MOST_GROUPS {
            problems.push(format!("`optimizer.groups` has {} groups; at most {MOST_GROUPS}", self.groups.len()));
        }
        if problems.is_empty() {
            let groups = self.groups.iter().map(GroupArguments::group).collect();
            let adamw_epsilon = if adafactor.is_some() { OptimizerConfig::default().epsilon } else { epsilon };
            return Ok(OptimizerConfig { beta1, beta2, epsilon: adamw_epsilon, weight_decay, muon, adafactor, groups });
        }
        Err(Failure::fatal(problems.join("; ")).with_hint("what is left out of `optimizer` has a good value"))
    }

    fn adafactor(&self) -> AdafactorConfig {
        let default = AdafactorConfig::default();
        AdafactorConfig {
            decay_rate: self.decay_rate.unwrap_or(default.decay_rate),
            clip_threshold: self.clip_threshold.unwrap_or(default.clip_threshold),
            epsilon: self.epsilon.unwrap_or(default.epsilon),
            scale_parameter: self.scale_parameter.unwrap_or(default.scale_parameter),
        }
    }

    /// Settings of another kind of optimizer.
    fn misplaced(&self) -> Vec<String> {
        let kind = match self.kind {
            OptimizerKind::AdamW => "adamw",
            OptimizerKind::Muon => "muon",
            OptimizerKind::Adafactor => "adafactor",
        };
        let of_adafactor = [
            ("decay_rate", self.decay_rate.is_some()),
            ("clip_threshold", self.clip_threshold.is_some()),
            ("scale_parameter", self.scale_parameter.is_some()),
        ];
        let given = |(name, given): (&'static str, bool)| given.then_some(name);
        let muon = (self.kind != OptimizerKind::Muon && self.momentum.is_some()).then_some(("momentum", "Muon"));
        let adafactor = of_adafactor.into_iter().filter_map(given).map(|name| (name, "Adafactor"));
        let adafactor = adafactor.filter(|_| self.kind != OptimizerKind::Adafactor);
        muon.into_iter()
            .chain(adafactor)
            .map(|(name, whose)| format!("`optimizer.{name}` is {whose}'s, `optimizer.kind` is {kind}"))
            .collect()
    }
}

/// Largest number of groups.
const MOST_GROUPS: usize = 100;

fn problem_of_adafactor(settings: AdafactorConfig) -> Option<String> {
    let AdafactorConfig { decay_rate, clip_threshold, epsilon, .. } = settings;
    let problem =
        |name: &str, value: f64, rule: &str| Some(format!("`optimizer.{name}` is {value:?}; it must be {rule}"));
    if !(-1.0..0.0).contains(&decay_rate) {
        return problem("decay_rate", decay_rate, "at least -1 and below 0");
    }
    if !(1e-3..=1e3).contains(&clip_threshold) {
        return problem("clip_threshold", clip_threshold, "from 0.001 to 1000");
    }
    // Below, means of squares would lose their digits.
    if epsilon < 1e-30 { problem("epsilon", epsilon, "at least 1e-30 for Adafactor") } else { None }
}

impl GroupArguments {
    fn problem(&self) -> Option<String> {
        let GroupArguments { parameters, lr_scale, weight_decay } = self;
        let place = format!("`optimizer.groups`, `{parameters}`");
        let rate = lr_scale.filter(|scale| !(0.0..=1000.0).contains(scale));
        let decay = weight_decay.filter(|decay| !((*decay as f32).is_finite() && *decay >= 0.0));
        match (rate, decay) {
            (Some(scale), _) => Some(format!("{place}: `lr_scale` is {scale:?}; it must be from 0 to 1000")),
            (None, Some(decay)) => Some(format!("{place}: `weight_decay` is {decay:?}; it must be 0 or more")),
            (None, None) if lr_scale.is_none() && weight_decay.is_none() => {
                Some(format!("{place} changes nothing: set its `lr_scale` or `weight_decay`"))
            }
            (None, None) => None,
        }
    }

    fn group(&self) -> ParameterGroup {
        let GroupArguments { parameters, lr_scale, weight_decay } = self.clone();
        ParameterGroup { parameters, lr_scale: lr_scale.unwrap_or(1.0), weight_decay }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(change: serde_json::Value) -> Result<OptimizerArguments, serde_json::Error> {
        serde_json::from_value(change)
    }

    /// With an epsilon of 0 in f32, weights that never had a gradient become NaN.
    #[test]
    fn both_ends_of_every_number_of_the_optimizer_are_checked() {
        let config = |name: &str, value: f64| {
            let with = arguments(json!({"kind": "muon", name: value})).unwrap();
            with.config().map_err(|failure| failure.message)
        };
        for (name, value) in
            [("epsilon", 5e-324), ("epsilon", 1e-50), ("epsilon", 1e39), ("beta1", 1.0), ("beta1", -5e-324)]
        {
            let message = config(name, value).unwrap_err();
            assert!(message.starts_with(&format!("`optimizer.{name}` is {value:?}; it must be ")), "{message}");
        }
        assert!(config("weight_decay", 1e39).is_err() && config("momentum", 1.0).is_err());
        for (name, value) in [("epsilon", 1.2e-38), ("beta1", 5e-324), ("weight_decay", 5e-324), ("momentum", 0.0)] {
            assert!(config(name, value).is_ok(), "{name} {value}");
        }
    }

    #[test]
    fn muon_has_a_setting_of_its_own_and_all_problems_are_listed() {
        let config = |change| arguments(change).unwrap().config();
        assert_eq!(config(json!({"kind": "muon"})).unwrap().muon, Some(MuonConfig { momentum: 0.95 }));
        assert_eq!(config(json!({"kind": "muon", "momentum": 0.9})).unwrap().muon, Some(MuonConfig { momentum: 0.9 }));
        assert_eq!(config(json!({})).unwrap().muon, None);
        let message = config(json!({"momentum": 2.0, "epsilon": 0.0})).unwrap_err().message;
        for part in ["`optimizer.momentum` is 2.0", "`optimizer.epsilon` is 0.0", "`optimizer.momentum` is Muon's"] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn adafactor_and_groups_have_settings_of_their_own() {
        let config = |change| arguments(change).unwrap().config();
        let adafactor = config(json!({"kind": "adafactor", "clip_threshold": 2.0})).unwrap().adafactor.unwrap();
        assert_eq!(adafactor, AdafactorConfig { clip_threshold: 2.0, ..AdafactorConfig::default() });
        let group = json!({"parameters": "embedding", "lr_scale": 0.5});
        let groups = config(json!({"groups": [group]})).unwrap().groups;
        assert_eq!(groups[0], ParameterGroup { parameters: "embedding".to_owned(), lr_scale: 0.5, weight_decay: None });
        for (change, part) in [
            (json!({"decay_rate": -0.8}), "`optimizer.decay_rate` is Adafactor's, `optimizer.kind` is adamw"),
            (
                json!({"kind": "adafactor", "momentum": 0.9}),
                "`optimizer.momentum` is Muon's, `optimizer.kind` is adafactor",
            ),
            (json!({"kind": "adafactor", "decay_rate": 0.8}), "`optimizer.decay_rate` is 0.8"),
            (json!({"kind": "adafactor", "epsilon": 1e-31}), "at least 1e-30"),
            (json!({"groups": [{"parameters": "x"}]}), "`x` changes nothing"),
            (json!({"groups": [{"parameters": "x", "lr_scale": -1.0}]}), "`lr_scale` is -1.0"),
            (json!({"groups": [{"parameters": "x", "weight_decay": -1.0}]}), "`weight_decay` is -1.0"),
            (json!({"groups": vec![json!({"parameters": "x", "lr_scale": 1.0}); 101]}), "has 101 groups"),
        ] {
            let message = config(change.clone()).unwrap_err().message;
            assert!(message.contains(part), "{change}: {message}");
        }
    }
}
