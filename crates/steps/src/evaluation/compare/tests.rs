use serde_json::{Value, json};

use super::EVAL_COMPARE;
use crate::StepHandler;
use crate::tests::StepLab;
use stepwell_base::artifact::ArtifactRef;

fn right(task: &str, item: u64, acc: u64) -> Value {
    json!({ "task": task, "item": item, "digest": format!("{task}{item}"), "scores": { "acc": acc } })
}

fn text(item: u64, nats: f64) -> Value {
    json!({ "task": "documents", "item": item, "digest": "d", "scores": { "nats": nats, "tokens": 9, "bytes": 10 + item } })
}

fn store(lab: &StepLab, lines: &[Value]) -> ArtifactRef {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    lab.artifacts.put_bytes(text.as_bytes(), "application/x-ndjson").unwrap()
}

fn compare(lab: &StepLab, first: &[Value], second: &[Value]) -> Result<Value, String> {
    let with = json!({ "first": store(lab, first), "second": store(lab, second) });
    let outputs = lab.run(&EVAL_COMPARE, &with).map_err(|failure| failure.message)?;
    Ok(Value::Object(outputs.values))
}

#[test]
fn rates_are_tested_by_item_and_likelihoods_by_text() {
    let lab = StepLab::new();
    // 40 items: 20 that both have right, 12 only the second, 2 only the first, 6 neither.
    let outcomes = [[1, 1], [0, 1], [1, 0], [0, 0]].into_iter().zip([20, 12, 2, 6]);
    let outcomes: Vec<[u64; 2]> = outcomes.flat_map(|(pair, count)| vec![pair; count]).collect();
    let side = |side: usize| -> Vec<Value> {
        let rates = outcomes.iter().zip(1..).map(|(pair, item)| right("cloze", item, pair[side]));
        let texts = (1..=30).map(|item| text(item, 10.0 + (item % 7) as f64 - 0.3 * side as f64));
        rates.chain(texts).collect()
    };
    let values = compare(&lab, &side(0), &side(1)).unwrap();
    let acc = &values["tasks"]["cloze"]["acc"];
    let number = |name: &str| acc[name].as_f64().unwrap();
    assert_eq!((&acc["only_first"], &acc["only_second"], &acc["items"]), (&json!(2), &json!(12), &json!(40)));
    assert!((number("difference") - 0.25).abs() < 1e-12);
    assert!((number("p") - 2.0 * (1.0 + 14.0 + 91.0) / 16384.0).abs() < 1e-12);
    assert!(number("low") > 0.0 && number("high") < 0.5 && number("p_adjusted") >= number("p"));
    let bits = &values["tasks"]["documents"]["bits_per_byte"];
    assert!(bits["difference"].as_f64().unwrap() < 0.0 && bits["p"].as_f64().unwrap() < 0.01, "{bits}");
    assert_eq!(
        (&values["items"], &values["tests"], &values["better"], &values["worse"]),
        (&json!(70), &json!(2), &json!(2), &json!(0))
    );
    let back = compare(&lab, &side(1), &side(0)).unwrap();
    assert_eq!((&back["better"], &back["worse"]), (&json!(0), &json!(2)));
    assert_eq!(compare(&lab, &side(0), &side(0)).unwrap()["least_p"], 1.0);
}

#[test]
fn evaluations_of_other_items_are_refused() {
    let lab = StepLab::new();
    let refused = |first: &[Value], second: &[Value]| compare(&lab, first, second).unwrap_err();
    let [a, b] = [right("t", 1, 1), right("t", 2, 0)];
    let both = [a.clone(), b.clone()];
    assert!(refused(&both, &both[..1]).contains("only `first` has item 2 of `t`"));
    assert!(refused(&both[..1], &both).contains("only `second` has item 2 of `t`"));
    let mut other = b.clone();
    other["digest"] = json!("x");
    assert!(refused(&both, &[a.clone(), other]).contains("item 2 of `t` is another one"));
    assert!(refused(&[a.clone(), a.clone()], &both).contains("line 2: it has the item of an earlier line"));
    assert!(refused(&[json!({ "text": 1 })], &both).contains("line 1: "));
    let with = json!({ "first": store(&lab, &both), "second": store(&lab, &both), "confidence": 1.5 });
    assert!(EVAL_COMPARE.check(&with).unwrap_err().message.contains("`confidence`"));
}
