//! The decision of the gate. A person approves it; nothing else does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arms::Comparison;
use crate::data::Summary;
use crate::file::GateRules;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Proceed,
    /// Change the data or the training and run again.
    Iterate,
    /// The tuned model is worse.
    Stop,
}

impl Decision {
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Proceed => "proceed",
            Decision::Iterate => "iterate",
            Decision::Stop => "stop",
        }
    }
}

/// Decides from what was measured, with a reason for each rule.
pub fn decide(quality: &Summary, comparison: &Comparison, rules: &GateRules) -> (Decision, Vec<String>) {
    let training = &comparison.training;
    let lift = format!("the training changes the share of right answers by {:+.1} points", training.lift * 100.0);
    let mut reasons =
        vec![format!("{lift} (p = {:.3}, {} items, McNemar {})", training.p, comparison.items, training.test)];
    let worse: Vec<&str> = training
        .types
        .iter()
        .filter(|(_, of_type)| of_type.lift < 0.0 && of_type.q < rules.false_discovery_rate)
        .map(|(kind, _)| kind.as_str())
        .collect();
    let mut decision = Decision::Proceed;
    let mut iterate = |reason: String| {
        decision = Decision::Iterate;
        reasons.push(reason);
    };
    if !quality.thresholds_passed {
        iterate("quality control did not pass".to_owned());
    }
    if training.p >= rules.p {
        iterate(format!("the change is not significant: p is not below {}", rules.p));
    }
    if training.lift > 0.0 && training.lift_at_equal_length <= 0.0 {
        iterate("answers of equal length are not better: the gain is length".to_owned());
    }
    if !worse.is_empty() {
        iterate(format!("worse on {}", worse.join(", ")));
    }
    if training.lift <= 0.0 {
        iterate("the tuned model is not better".to_owned());
    }
    if training.lift < 0.0 && training.p < rules.p {
        decision = Decision::Stop;
        reasons.push("the tuned model is significantly worse".to_owned());
    }
    (decision, reasons)
}

/// Who let the run pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub approved: bool,
    /// A person, or nothing if the rule decided alone.
    #[serde(default)]
    pub approver: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
}

/// `gate.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateReport {
    pub schema: u32,
    pub decision: Decision,
    pub reasons: Vec<String>,
    pub approval: Approval,
    pub quality: Summary,
    pub comparison: Comparison,
    /// Digest of the constitution.
    pub constitution: String,
}

#[cfg(test)]
mod tests {
    use super::super::arms::{Arm, compare};
    use super::*;
    use crate::data::judge;
    use crate::file::QualityRules;
    use crate::tests::{outcomes, record};

    fn decision(format: impl Fn(usize) -> (bool, u64), tuned: impl Fn(usize) -> (bool, u64)) -> (Decision, String) {
        let records: Vec<_> = (0..40).map(record).collect();
        let quality = judge(&records, &QualityRules::default()).unwrap().summary;
        let raw = outcomes(Arm::BaseRaw, 60, |_| (false, 10));
        let comparison =
            compare([&raw, &outcomes(Arm::BaseFormat, 60, format), &outcomes(Arm::Tuned, 60, tuned)], 1).unwrap();
        let (decision, reasons) = decide(&quality, &comparison, &GateRules::default());
        (decision, reasons.join("; "))
    }

    #[test]
    fn only_a_real_gain_proceeds() {
        let never = |_| (false, 10);
        assert_eq!(decision(never, |n| (n % 3 == 0, 10)).0, Decision::Proceed);
        let (found, why) = decision(never, |n| (n < 3, 10));
        assert!(found == Decision::Iterate && why.contains("not significant"), "{why}");
        let (found, why) = decision(never, |n| if n % 2 == 0 { (true, 110) } else { (false, 10) });
        assert!(found == Decision::Iterate && why.contains("the gain is length"), "{why}");
        let (found, why) = decision(|n| (n % 3 == 0, 10), never);
        assert!(found == Decision::Stop && why.contains("significantly worse"), "{why}");
        // 60 items of two types: one gets better, the other worse.
        let (found, why) = decision(|n| (n % 2 == 0 && n < 20, 10), |n| (n % 2 == 1, 10));
        assert!(found == Decision::Iterate && why.contains("worse on even"), "{why}");
    }
}
