//! Preferences between two answers, by a principle.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::Metadata;
use crate::judge::LabelScores;

/// A judge's preference, without its preference for a place: the mean of both orders.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// Scores when the first answer is A.
    pub first_as_a: LabelScores,
    /// Scores when the first answer is B.
    pub first_as_b: LabelScores,
    /// Preference for the first answer, in nats; negative for the second.
    pub margin: f64,
}

impl Preference {
    pub fn of(first_as_a: LabelScores, first_as_b: LabelScores) -> Preference {
        let margin = (first_as_a.difference() - first_as_b.difference()) / 2.0;
        Preference { first_as_a, first_as_b, margin }
    }
}

/// A row for preference training, in the form of TRL, with where it came from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferencePair {
    pub schema: u32,
    pub id: String,
    pub prompt: String,
    pub chosen: String,
    pub rejected: String,
    /// Name of the principle that decided.
    pub principle: String,
    pub preference: Preference,
    pub metadata: Metadata,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_that_always_says_a_prefers_nothing() {
        let always = LabelScores { logp_a: -0.5, logp_b: -3.0 };
        assert_eq!(Preference::of(always, always).margin, 0.0);
        let first = LabelScores { logp_a: -0.5, logp_b: -3.0 };
        let swapped = LabelScores { logp_a: -1.0, logp_b: -1.5 };
        assert_eq!(Preference::of(first, swapped).margin, 1.0);
        assert_eq!(Preference::of(swapped, first).margin, -1.0);
    }
}
