//! Judgements by the log-probabilities of two labels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::CriticRules;

/// Subject of a critic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Instruction,
    /// An instruction and its answer.
    Pair,
}

/// Log-probabilities of the labels behind `Label:`, each the larger one of its two spellings, with and without a space.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelScores {
    pub logp_a: f64,
    pub logp_b: f64,
}

impl LabelScores {
    /// Spellings of the labels. Each must be exactly one token.
    pub const SPELLINGS: [&'static str; 4] = ["A", " A", "B", " B"];

    /// Scores from the log-probabilities of [`LabelScores::SPELLINGS`], in their order.
    pub fn of([a, space_a, b, space_b]: [f64; 4]) -> LabelScores {
        LabelScores { logp_a: a.max(space_a), logp_b: b.max(space_b) }
    }

    /// Preference for A, in nats.
    pub fn difference(self) -> f64 {
        self.logp_a - self.logp_b
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum Label {
    A,
    B,
}

/// Judgement of a critic.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Critique {
    /// True for A with a margin that counts: who is uncertain chooses B.
    pub is_good: bool,
    pub predicted_label: Label,
    pub logp_a: f64,
    pub logp_b: f64,
    /// Distance of the difference from the bias of the critic.
    pub margin: f64,
    pub confident: bool,
}

impl Critique {
    pub fn of(scores: LabelScores, rules: &CriticRules) -> Critique {
        let difference = scores.difference() - rules.bias;
        let predicted_label = if difference > 0.0 { Label::A } else { Label::B };
        let confident = difference.abs() >= rules.min_margin;
        Critique {
            is_good: predicted_label == Label::A && confident,
            predicted_label,
            logp_a: scores.logp_a,
            logp_b: scores.logp_b,
            margin: difference.abs(),
            confident,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_its_likelier_spelling_and_the_uncertain_choose_b() {
        let judged = |scores, rules: &CriticRules| Critique::of(LabelScores::of(scores), rules);
        let rules = CriticRules::default();
        let good = judged([-9.0, -1.0, -2.5, -8.0], &rules);
        assert_eq!(
            (good.is_good, good.predicted_label, good.logp_a, good.logp_b, good.margin),
            (true, Label::A, -1.0, -2.5, 1.5)
        );
        let unsure = judged([-1.0, -9.0, -1.5, -9.0], &rules);
        assert_eq!((unsure.is_good, unsure.predicted_label, unsure.confident), (false, Label::A, false));
        let tie = judged([-1.0, -1.0, -1.0, -1.0], &CriticRules { min_margin: 0.0, bias: 0.0 });
        assert_eq!((tie.is_good, tie.predicted_label), (false, Label::B));
        let biased = judged([-1.0, -9.0, -3.0, -9.0], &CriticRules { min_margin: 1.0, bias: 3.0 });
        assert_eq!((biased.is_good, biased.predicted_label, biased.margin), (false, Label::B, 1.0));
    }
}
