//! Scorers of answers. None is believed before it has passed its calibration set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::normalised;

/// An evaluation item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub id: String,
    /// Kind of the instruction; results are tested for each.
    #[serde(rename = "type")]
    pub kind: String,
    pub instruction: String,
    /// A right answer has one of these, as whole words without regard to case and punctuation.
    #[serde(default)]
    pub expected: Vec<String>,
    /// A right answer has none of these.
    #[serde(default)]
    pub forbidden: Vec<String>,
    /// Most words of a right answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_words: Option<u32>,
}

/// Decides whether an answer is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scorer {
    /// By the texts of the item.
    #[default]
    Expected,
    /// By its length: 5 to 500 characters. It is here because a published gate passed with it; its calibration fails.
    Length,
}

impl Scorer {
    pub fn as_str(self) -> &'static str {
        match self {
            Scorer::Expected => "expected",
            Scorer::Length => "length",
        }
    }

    /// Judges an answer.
    pub fn is_right(self, item: &Item, answer: &str) -> bool {
        match self {
            Scorer::Expected => expected(item, answer),
            Scorer::Length => (5..=500).contains(&answer.chars().count()),
        }
    }
}

fn expected(item: &Item, answer: &str) -> bool {
    let words = format!(" {} ", normalised(answer));
    let has = |text: &String| {
        let wanted = normalised(text);
        !wanted.is_empty() && words.contains(&format!(" {wanted} "))
    };
    let count = words.split_whitespace().count();
    item.expected.iter().any(has)
        && !item.forbidden.iter().any(has)
        && item.most_words.is_none_or(|most| count <= most as usize)
}
