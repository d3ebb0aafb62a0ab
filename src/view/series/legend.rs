//! Names what differs between curves.

use serde_json::{Map, Value};

use crate::view::value_text::cut;
use stepwell_run::item::item_name;

/// Most characters of one difference.
const MOST_CHARACTERS: usize = 60;

/// What is known about the run and the step of a curve.
#[derive(Clone, PartialEq, Debug)]
pub struct Legend {
    pub run: String,
    pub step: String,
    pub item: Option<Value>,
    pub params: Map<String, Value>,
    /// Such as `forked from a at train:250`.
    pub origin: Option<String>,
}

impl Legend {
    /// The item, the parameters that are not equal in all curves, and the origin, for each curve.
    pub fn differences(curves: &[Legend]) -> Vec<String> {
        let differs = |name: &str| curves.iter().any(|curve| curve.params.get(name) != curves[0].params.get(name));
        let difference = |curve: &Legend| {
            let named = |item: &Value| {
                if item.is_object() { item_name(item).into_owned() } else { format!("item={}", item_name(item)) }
            };
            let mut parts: Vec<String> = curve.item.iter().map(named).collect();
            let params = curve.params.iter().filter(|(name, _)| differs(name));
            parts.extend(params.map(|(name, value)| format!("{name}={}", item_name(value))));
            parts.extend(curve.origin.clone());
            cut(&parts.join(", "), MOST_CHARACTERS)
        };
        curves.iter().map(difference).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn legend(params: Value, item: Option<Value>) -> Legend {
        let params = params.as_object().unwrap().clone();
        Legend { run: "r".to_owned(), step: "train".to_owned(), item, params, origin: None }
    }

    #[test]
    fn only_what_differs_is_named() {
        let curves = [
            legend(json!({"lr": 0.1, "seed": 1, "text": "a.txt"}), None),
            legend(json!({"lr": 0.2, "seed": 1}), Some(json!({"seed": 3}))),
        ];
        assert_eq!(Legend::differences(&curves), ["lr=0.1, text=a.txt", "seed=3, lr=0.2"]);
        assert_eq!(Legend::differences(&curves[..1]), [""]);
        assert_eq!(Legend::differences(&[legend(json!({}), Some(json!(7)))]), ["item=7"]);
        let long = [legend(json!({"a": "x".repeat(100)}), None), legend(json!({}), None)];
        assert_eq!(Legend::differences(&long)[0].len(), MOST_CHARACTERS + 3);
    }
}
