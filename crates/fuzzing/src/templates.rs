//! Checks template expressions in `with`, `for_each`, `when` and rules.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::probe::survives;
use stepwell_base::artifact::{ArtifactRef, Digest, Outputs};
use stepwell_base::ids::{RunId, StepId};
use stepwell_workflow::template::{
    MAXIMUM_ITEMS, Named, StepOutputs, TemplateContext, condition, items, resolve, rule,
};

/// Checks one text as an argument, as `for_each`, as `when` and as a rule. The engine reads only the outputs of steps
/// that the template names, so these must be enough.
pub(super) fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let with = Map::from_iter([("x".to_owned(), json!([text, { "y": text }]))]);
    let one = outputs(json!(7));
    let children = (0..3).map(|index| (index, (json!(index), outputs(json!(index)))));
    let children: BTreeMap<usize, (Value, Outputs)> = children.collect();
    let steps = BTreeMap::from([
        (StepId::from("one"), StepOutputs::One(&one)),
        (StepId::from("my-many"), StepOutputs::Many(Rc::new(&children))),
        (StepId::from("skipped"), StepOutputs::Skipped),
    ]);
    let resolved = with_steps(&steps, |context| resolve(&with, context));
    if let Ok(value) = &resolved {
        survives(value);
        let named = Named::by_table(&with);
        let read = steps.iter().filter(|(id, _)| named.includes(id)).map(|(id, step)| (id.clone(), step.clone()));
        let with_less = with_steps(&read.collect(), |context| resolve(&with, context));
        assert_eq!(with_less.as_ref(), Ok(value), "the template reads steps that it does not name");
    }
    if let Ok(items) = with_steps(&steps, |context| items(text, context)) {
        assert!(items.len() <= MAXIMUM_ITEMS);
        survives(&Value::from(items));
    }
    drop(with_steps(&steps, |context| condition(text, context)));
    drop(rule(text, &Map::from_iter([("loss".to_owned(), json!(2.5)), ("none".to_owned(), Value::Null)])));
}

fn outputs(value: Value) -> Outputs {
    let digest = Digest::of(value.to_string().as_bytes());
    let artifact = ArtifactRef { digest, size: 1, media_type: "text/plain".to_owned() };
    Outputs {
        artifacts: BTreeMap::from([("text".to_owned(), artifact)]),
        values: Map::from_iter([("n".to_owned(), value)]),
    }
}

fn with_steps<T>(steps: &BTreeMap<StepId, StepOutputs<'_>>, evaluate: impl FnOnce(&TemplateContext<'_>) -> T) -> T {
    let params = Map::from_iter([
        ("batch".to_owned(), json!(8)),
        ("name".to_owned(), json!("tiny")),
        ("list".to_owned(), json!([1, 2.5, true])),
        ("table".to_owned(), json!({ "a": 1 })),
    ]);
    let item = json!({ "shard": "s1" });
    evaluate(&TemplateContext {
        secrets: &BTreeMap::new(),
        params: &params,
        steps,
        run: (RunId(Uuid::nil()), "my-run"),
        scheduled_at: jiff::Timestamp::UNIX_EPOCH,
        item: Some((&item, 4)),
        files: None,
    })
}
