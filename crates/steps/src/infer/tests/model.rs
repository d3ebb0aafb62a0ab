//! A real model, though a tiny one: forms of answers, scores of prompts, answers that continue a message.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use stepwell_base::ordered_json::Json;
use stepwell_batch::RowError;
use stepwell_batch::body::{Body, Endpoint};
use stepwell_batch::results::{Answer, BatchName, FinishReason, Header, completion_body};
use stepwell_models::Model;
use tempfile::TempDir;

use crate::infer::arguments::Dtype;
use crate::infer::backend::{Backend, Happened};
use crate::infer::engine::ModelBackend;
use crate::infer::memory::Memory;

const TEMPLATE: &str = "{% for m in messages %}<{{ 'u' if m.role == 'user' else 'a' }}>{{ m.content }}</>{% endfor %}\
                        {% if add_generation_prompt %}<a>{% endif %}";

struct Lab {
    _folder: TempDir,
    model: Model,
}

impl Lab {
    fn new() -> Lab {
        let folder = TempDir::new().unwrap();
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny");
        for file in fs::read_dir(tiny).unwrap().flatten() {
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        fs::write(folder.path().join("chat_template.jinja"), TEMPLATE).unwrap();
        Lab { model: Model::open(folder.path()).unwrap(), _folder: folder }
    }

    /// White space that a model without training would write for ever.
    fn no_space(&self) -> Value {
        let ids = ["\u{120}", "\u{10a}", "\u{109}", "\u{10d}"].map(|name| self.model.tokenizer.id_of(name).unwrap());
        json!(ids.map(|id| (id.to_string(), -100)).into_iter().collect::<std::collections::BTreeMap<_, _>>())
    }

    fn answer(&self, endpoint: Endpoint, body: &str) -> Result<Value, RowError> {
        let ordered: Json = serde_json::from_str(body).unwrap();
        let body = Body::parse(endpoint, serde_json::from_str(body).unwrap())?.in_order(Some(ordered));
        let memory = Memory { cache: Some(8 << 20), ..Memory::of_slots(4) };
        let mut backend = ModelBackend::open(&self.model, Dtype::F32, memory, 0).unwrap();
        let mut answer = Answer::default();
        for (id, job) in (0..).zip(backend.prepare(&body, 7)?) {
            backend.submit(id, job)?;
        }
        while answer.choices.len() < body.choices() {
            for happened in backend.step() {
                match happened {
                    Happened::Finished { choice, usage, .. } => {
                        answer.choices.push(choice);
                        answer.usage.add(usage);
                    }
                    Happened::Failed { error, .. } => return Err(error),
                    Happened::Tokens { .. } => {}
                }
            }
        }
        let header = Header { name: BatchName::of(["test"]), created: 0, system_fingerprint: String::new() };
        Ok(serde_json::from_str(&completion_body(&header, 0, (endpoint, "m"), &answer)).unwrap())
    }
}

#[test]
fn answers_meet_their_schema_in_the_order_of_its_members() {
    let lab = Lab::new();
    let with = |schema: &str, seed: u64| {
        let bias = lab.no_space();
        let format = format!(r#"{{"type": "json_schema", "json_schema": {{"name": "x", "schema": {schema}}}}}"#);
        format!(
            r#"{{"model": "m", "prompt": "Hi", "max_tokens": 50, "seed": {seed}, "logit_bias": {bias}, "response_format": {format}}}"#
        )
    };
    let schema = r#"{"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 22, null]},
        "also": {"type": "array", "items": {"type": "null"}, "maxItems": 1}}, "required": ["ok", "n", "also"]}"#;
    for seed in 0..20 {
        let found = lab.answer(Endpoint::Completions, &with(schema, seed)).unwrap();
        let text = found["choices"][0]["text"].as_str().unwrap();
        assert_eq!(found["choices"][0]["finish_reason"], json!(FinishReason::Stop), "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(value["ok"].is_boolean() && [json!(1), json!(22), json!(null)].contains(&value["n"]), "{text}");
        let places = ["ok", "n", "also"].map(|name| text.find(&format!("\"{name}\"")).unwrap());
        assert!(places.is_sorted(), "{text}");
    }
    let error = lab.answer(Endpoint::Completions, &with(r#"{"properties": {"a": {"pattern": "x"}}}"#, 0)).unwrap_err();
    assert_eq!(error.message, "`response_format.json_schema.schema.properties.a.pattern` is not supported");
}

#[test]
fn scores_of_a_prompt_are_those_of_its_echo() {
    let lab = Lab::new();
    let found = lab
        .answer(
            Endpoint::Completions,
            r#"{"model": "m", "prompt": "Hello", "max_tokens": 2, "n": 2, "echo": true, "logprobs": 1, "prompt_logprobs": 3}"#,
        )
        .unwrap();
    let (scores, echo) = (found["choices"][0]["prompt_logprobs"].as_array().unwrap(), &found["choices"][0]["logprobs"]);
    assert!(scores[0].is_null() && scores.len() as u64 == found["usage"]["prompt_tokens"].as_u64().unwrap());
    for (place, entry) in scores.iter().enumerate().skip(1) {
        let mut all = entry.as_object().unwrap().values();
        let own = all.find(|token| token["decoded_token"] == echo["tokens"][place]).unwrap();
        assert_eq!(own["logprob"], echo["token_logprobs"][place]);
        let ranks: Vec<u64> =
            entry.as_object().unwrap().values().map(|token| token["rank"].as_u64().unwrap()).collect();
        assert!([1, 2, 3].iter().all(|rank| ranks.contains(rank)) && ranks.len() <= 4, "{entry}");
        assert_eq!(echo["top_logprobs"][place].as_object().unwrap().len(), 1);
    }
    assert_eq!(found["choices"][1].get("prompt_logprobs"), None, "once per prompt");
    let chat =
        r#"{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "prompt_logprobs": 0}"#;
    let found = lab.answer(Endpoint::ChatCompletions, chat).unwrap();
    assert!(found["prompt_logprobs"][1].as_object().is_some_and(|place| place.len() == 1), "{found}");
}

#[test]
fn the_last_message_is_continued() {
    let lab = Lab::new();
    let text = r#"{"model": "m", "prompt": "<u>Hi</><a>On", "max_tokens": 8, "temperature": 0}"#;
    let open = r#"{"model": "m", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "On"}],
        "max_tokens": 8, "temperature": 0, "add_generation_prompt": false, "continue_final_message": true}"#;
    let [text, open] = [(Endpoint::Completions, text), (Endpoint::ChatCompletions, open)]
        .map(|(endpoint, body)| lab.answer(endpoint, body).unwrap());
    assert_eq!(text["choices"][0]["text"], open["choices"][0]["message"]["content"]);
    assert_eq!(text["usage"], open["usage"]);
}

#[test]
fn a_guarded_model_answers_token_ids_only_and_none_that_are_special() {
    use stepwell_constitution::{BosPolicy, PromptGuard};
    let lab = Lab::new();
    let memory = Memory { cache: Some(8 << 20), ..Memory::of_slots(4) };
    let guard = PromptGuard::new(BosPolicy::None, None, vec![0, 1, 2]).unwrap();
    let backend = ModelBackend::open(&lab.model, Dtype::F32, memory, 0).unwrap().guarded(guard);
    let refused = |endpoint, body: Value| {
        let Value::Object(body) = body else { panic!() };
        let body = Body::parse(endpoint, body).unwrap();
        backend.prepare(&body, 7).err().and_then(|error| error.param)
    };
    let completion = |prompt: Value| refused(Endpoint::Completions, json!({ "model": "m", "prompt": prompt }));
    assert_eq!(completion(json!([70, 71])), None);
    assert_eq!(completion(json!([70, 1, 71])).as_deref(), Some("special_token_in_prompt"));
    assert_eq!(completion(json!([[70], [71, 2]])).as_deref(), Some("special_token_in_prompt"));
    assert_eq!(completion(json!("text")).as_deref(), Some("chat_request"));
    let chat = json!({ "model": "m", "messages": [{"role": "user", "content": "Hi"}] });
    assert_eq!(refused(Endpoint::ChatCompletions, chat).as_deref(), Some("chat_request"));
}

#[test]
fn log_probabilities_of_tokens_that_were_asked_for_are_those_of_the_prompt() {
    let lab = Lab::new();
    let found = lab
        .answer(
            Endpoint::Completions,
            r#"{"model": "m", "prompt": [70, 71], "max_tokens": 1, "temperature": 0, "ignore_eos": true, "logprobs": 0,
                "logprob_token_ids": [72, 90]}"#,
        )
        .unwrap();
    let scores = found["choices"][0]["logprobs"]["top_logprobs"][0].as_object().unwrap().clone();
    assert_eq!(scores.len(), 2);
    for id in [72, 90] {
        let body = format!(r#"{{"model": "m", "prompt": [70, 71, {id}], "max_tokens": 1, "prompt_logprobs": 0}}"#);
        let found = lab.answer(Endpoint::Completions, &body).unwrap();
        let entry = &found["choices"][0]["prompt_logprobs"][2][id.to_string()];
        assert_eq!(scores[entry["decoded_token"].as_str().unwrap()], entry["logprob"], "{entry}");
    }
}
