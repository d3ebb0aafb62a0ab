//! Notices for a person, each raised once.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// The estimated end is later than the promised one.
    DeadlineAtRisk,
    DeadlineMissed,
    BudgetExhausted,
}

impl Alert {
    pub fn as_str(self) -> &'static str {
        match self {
            Alert::DeadlineAtRisk => "deadline_at_risk",
            Alert::DeadlineMissed => "deadline_missed",
            Alert::BudgetExhausted => "budget_exhausted",
        }
    }
}
