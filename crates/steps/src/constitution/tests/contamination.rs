//! Planted contaminations of a base model: each ends the run with a code of its own, and the clean model passes.

use serde_json::json;

use super::Lab;
use crate::constitution::{CRITIQUE, RESPOND, SENTINELS};

const TEMPLATE: &str = "{% for m in messages %}<bos>{{ m.content }}<eos>{% endfor %}";

fn record(instruction: &str) -> serde_json::Value {
    json!({ "schema": 1, "id": "r", "instruction": instruction, "metadata": { "steps": [] } })
}

#[test]
fn the_clean_model_passes() {
    let lab = Lab::new();
    lab.run(&SENTINELS, &lab.with(json!({}))).unwrap();
}

#[test]
fn a_chat_tuned_model_is_no_base_model_unless_a_person_says_why() {
    let lab = Lab::new();
    std::fs::write(lab.model.join("chat_template.jinja"), TEMPLATE).unwrap();
    assert_eq!(lab.code(&SENTINELS, &lab.with(json!({}))), "chat_tuned_model");
    let reason = "there is no base model on this machine";
    let with = lab.with(json!({
        "base": { "model": lab.model, "accept_chat_tuned": reason }, "records": lab.lines(&[record("Name a colour.")]), "seed": 1,
    }));
    let outputs = lab.run(&RESPOND, &with).unwrap();
    let found = &lab.read(&outputs.artifacts["records"])[0];
    assert_eq!(found["metadata"]["steps"][0]["guard"]["accepted_chat_tuned"], reason);
}

#[test]
fn a_post_processor_that_adds_bos_is_found_and_the_policy_can_name_it() {
    let lab = Lab::new();
    lab.change("tokenizer.json", |tokenizer| {
        tokenizer["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<bos>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<bos>": { "id": "<bos>", "ids": [1], "tokens": ["<bos>"] } },
        });
    });
    assert_eq!(lab.code(&SENTINELS, &lab.with(json!({}))), "special_tokens_added");
    let with = |bos: &str| {
        let base = json!({ "model": lab.model, "bos": bos });
        lab.with(json!({ "base": base, "records": lab.lines(&[record("Name a colour.")]), "seed": 1 }))
    };
    let outputs = lab.run(&RESPOND, &with("model")).unwrap();
    let step = &lab.read(&outputs.artifacts["records"])[0]["metadata"]["steps"][0];
    assert_eq!((&step["guard"]["bos"], &step["guard"]["added_by_tokenizer"]), (&json!("model"), &json!(1)));
    let text = "Instruction: Name a colour.\nResponse:";
    let model = stepwell_models::Model::open(&lab.model).unwrap();
    let ids = model.tokenizer.encode_fragment(text).unwrap().len() as u64;
    assert_eq!(step["prompt_tokens"], ids + 1, "one BOS, not two");
}

#[test]
fn a_policy_for_bos_needs_a_model_that_has_one() {
    let lab = Lab::new();
    lab.change("config.json", |config| drop(config.as_object_mut().unwrap().remove("bos_token_id")));
    lab.change("generation_config.json", |config| drop(config.as_object_mut().unwrap().remove("bos_token_id")));
    lab.change("tokenizer_config.json", |config| drop(config.as_object_mut().unwrap().remove("bos_token")));
    let with = lab.with(json!({ "base": { "model": lab.model, "bos": "model" } }));
    assert_eq!(lab.code(&SENTINELS, &with), "bos_missing");
}

#[test]
fn a_literal_special_token_ends_the_run() {
    let lab = Lab::new();
    let with = lab.with(json!({ "records": lab.lines(&[record("Say <eos> twice.")]), "seed": 1 }));
    assert_eq!(lab.code(&RESPOND, &with), "literal_special_token");
    let planted = super::lab::CONSTITUTION.replace("Water freezes at", "<bos>Water freezes at");
    let with = lab.with(json!({ "constitution": lab.text(&planted) }));
    assert_eq!(lab.code(&SENTINELS, &with), "literal_special_token");
}

#[test]
fn labels_of_several_tokens_are_no_labels() {
    let lab = Lab::new();
    lab.change("tokenizer.json", |tokenizer| {
        let merges = tokenizer["model"]["merges"].as_array_mut().unwrap();
        merges.pop();
    });
    let with = lab.with(json!({ "records": lab.lines(&[record("Name a colour.")]), "of": "instruction", "seed": 1 }));
    assert_eq!(lab.code(&CRITIQUE, &with), "label_not_one_token");
}
