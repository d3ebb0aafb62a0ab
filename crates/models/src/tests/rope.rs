//! Frequencies against those of `transformers`, see scripts/golden/make_rope_types.py.

use serde_json::{Map, Value, json};

use crate::hf::read_rope;
use crate::source::Fields;

fn golden() -> Value {
    serde_json::from_str(include_str!("rope_types.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

#[test]
fn every_type_has_the_frequencies_of_transformers() {
    let golden = golden();
    let positions: Vec<usize> = serde_json::from_value(golden["positions"].clone()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let rope = read_rope(&Fields::of(case["fields"].as_object().unwrap()), 16, 1024).unwrap();
        let attention = case["attention"].as_f64().unwrap() as f32;
        assert!((rope.attention_factor() - attention).abs() < 1e-6, "{}", case["name"]);
        for (positions, expected) in positions.iter().zip(case["frequencies"].as_array().unwrap()) {
            let found = rope.inverse_frequencies(*positions);
            for (found, expected) in found.iter().zip(numbers(expected)) {
                // Two roundings of f32.
                assert!(
                    (found - expected).abs() <= expected * 2.4e-7,
                    "{} {positions}: {found} {expected}",
                    case["name"]
                );
            }
            assert_eq!(found.len(), 8);
        }
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let refused = |fields: Value| {
        let map: Map<String, Value> = serde_json::from_value(fields).unwrap();
        read_rope(&Fields::of(&map), 16, 1024).unwrap_err().to_string()
    };
    let old = |scaling: Value| refused(json!({ "rope_scaling": scaling }));
    assert_eq!(
        old(json!({"rope_type": "su"})),
        "rope type `su` is not known; known are `default`, `linear`, `dynamic`, `llama3`, `yarn` and `longrope`"
    );
    assert_eq!(old(json!({"type": "linear"})), "`rope_scaling.factor` is missing");
    assert_eq!(
        old(json!({"type": "linear", "factor": "2"})),
        "`rope_scaling.factor` must be a number of at least 0.000001, not \"2\""
    );
    assert_eq!(old(json!({"type": "default", "mrope_section": [1]})), "`rope_scaling.mrope_section` is not known");
    assert_eq!(
        old(json!({"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]})),
        "`rope_scaling.short_factor` must be a list of 8 positive numbers, not [1.0]"
    );
    let both = json!({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "default"}});
    assert_eq!(refused(both), "`rope_scaling` differs from `rope_parameters`");
    let partial = json!({"rope_parameters": {"partial_rotary_factor": 0.5}});
    assert_eq!(refused(partial), "`rope_parameters.partial_rotary_factor` is not 1; heads are rotated as a whole only");
    let flat =
        json!({"rope_parameters": {"rope_type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 4}});
    assert_eq!(refused(flat), "`rope_parameters.high_freq_factor` must be larger than `low_freq_factor`");
}
