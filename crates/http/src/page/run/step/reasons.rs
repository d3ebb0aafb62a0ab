//! Why a step ran, was reused, or waits, in the words of `explain`.

use serde_json::Value;

use super::super::super::parts::cut;

const MOST: usize = 20;
const LONGEST: usize = 1000;

/// The reasons of the first step in what [`crate::Desk::explain`] tells.
pub fn reasons(told: &Value) -> Vec<String> {
    let reasons = told["steps"][0]["reasons"].as_array().into_iter().flatten();
    reasons.filter_map(Value::as_str).take(MOST).map(|reason| cut(reason, LONGEST)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_are_those_of_the_step() {
        let told =
            json!({ "steps": [{ "step": "a", "reasons": ["one", "two"] }, { "step": "b", "reasons": ["three"] }] });
        assert_eq!(reasons(&told), ["one", "two"]);
        assert!(reasons(&Value::Null).is_empty());
    }
}
