//! Steps by the names that people give.

use serde_json::{Value, json};

use super::fixture::{Engine, ready, started, succeeded};
use crate::StoreError;
use stepwell_base::ids::RunId;
use stepwell_run::event::StepEventKind;

fn fan_out(items: Vec<Value>) -> (Engine, RunId) {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1), succeeded("a", 1), ready("b"), ready("c")]).unwrap();
    engine.commit(run, [StepEventKind::Expanded { items }.of("c".into())]).unwrap();
    (engine, run)
}

#[test]
fn an_item_names_its_step_unless_it_is_a_position() {
    let (engine, run) = fan_out(vec![
        json!("data/1.txt"),
        json!("data/2.txt"),
        json!("2.txt"),
        json!("more/1.txt"),
        json!(0),
        json!({ "lr": 0.1, "seed": 1 }),
        json!({ "lr": 0.1, "seed": 2 }),
    ]);
    let reader = engine.store.reader();
    let found = |text: &str| reader.resolve_step(run, text).map(|id| id.0);
    for (text, id) in [
        ("a", "a"),
        ("c[1]", "c[1]"),
        ("c[data/2.txt]", "c[1]"),
        ("c[2.txt]", "c[2]"),
        ("c[0]", "c[0]"),
        ("c[seed=2]", "c[6]"),
        ("c[lr=0.1,seed=1]", "c[5]"),
    ] {
        assert_eq!(found(text).unwrap(), id, "{text}");
    }
    for text in ["c[1.txt]", "c[lr=0.1]"] {
        let Err(StoreError::AmbiguousStep { count: 2, candidates, .. }) = found(text) else { panic!("{text}") };
        assert_eq!(candidates.len(), 2);
    }
    for text in ["", "x", "c[7]", "c[]", "c[x]", "x[1.txt]", "c[1.txt", "a[data/2.txt]"] {
        assert!(matches!(found(text), Err(StoreError::UnknownStep { .. })), "{text}");
    }
}
