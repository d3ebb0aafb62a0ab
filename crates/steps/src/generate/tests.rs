use serde_json::{Value, json};

use super::GENERATE;
use crate::StepError;
use crate::tests::{Recorder, TrainingLab};
use crate::train::TRAIN;
use stepwell_base::artifact::Outputs;

fn trained(lab: &TrainingLab) -> Outputs {
    lab.run_once(&TRAIN, lab.train_arguments(json!({"optimizer": {"learning_rate": 0.01}, "steps": 30})))
}

fn with(lab: &TrainingLab, model: &Outputs, change: Value) -> Value {
    let mut with = json!({"model": model.artifacts["model"], "tokenizer": lab.tokenizer, "max_new_tokens": 10});
    with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    with
}

#[test]
fn samples_are_a_function_of_the_seed() {
    let lab = TrainingLab::new();
    let model = trained(&lab);
    let run = |change| lab.run_once(&GENERATE, with(&lab, &model, change));
    let two = run(json!({"prompts": ["The cat", ""], "count": 2}));
    assert_eq!(run(json!({"prompts": ["The cat", ""], "count": 2})), two);
    assert_ne!(run(json!({"prompts": ["The cat", ""], "count": 2, "seed": 1})), two);
    let texts = two.values["samples"].as_array().unwrap();
    assert_eq!(texts.len(), 4);
    assert!(texts[0].as_str().unwrap().starts_with("The cat"));
    assert_ne!(texts[0], texts[1], "each sample has its own seed");
    let others = run(json!({"prompts": ["A dog and a bird", ""], "count": 2}));
    assert_eq!(others.values["samples"].as_array().unwrap()[2..], texts[2..], "whatever is drawn beside them");
    let file: Value = serde_json::from_slice(&lab.artifacts.read(&two.artifacts["samples"]).unwrap()).unwrap();
    assert_eq!(file["samples"][0]["prompt"], "The cat");
    assert_eq!(file["sampling"]["max_new_tokens"], 10);
}

#[test]
fn impossible_options_and_a_foreign_tokenizer_are_refused() {
    let lab = TrainingLab::new();
    let model = trained(&lab);
    let refused = |change| match lab.attempt(&GENERATE, with(&lab, &model, change), &mut Recorder::default()) {
        Err(StepError::Failed(failure)) => failure.message,
        other => panic!("{other:?}"),
    };
    assert!(refused(json!({"temperature": -1.0})).contains("`temperature` is -1"));
    assert!(refused(json!({"model": lab.tokens[0]})).contains("tree"));
    let other = lab.artifacts.put_bytes(br#"{"not": "a tokenizer"}"#, "application/json").unwrap();
    assert!(refused(json!({"tokenizer": other})).contains("the tokenizer cannot be loaded"));
}
