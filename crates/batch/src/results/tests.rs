use serde_json::{Value, json};

use super::*;
use crate::body::Endpoint;
use crate::error::{Code, RowError};

fn header() -> Header {
    Header { name: BatchName::of(["input", "model"]), created: 0, system_fingerprint: "fp_1".to_owned() }
}

fn answer(logprobs: Option<Vec<TokenLogprob>>) -> Answer {
    let choice = Choice {
        text: "Hi \u{1f600}\n".to_owned(),
        finish_reason: FinishReason::Length,
        logprobs,
        prompt_logprobs: None,
    };
    Answer { choices: vec![choice], usage: Usage { prompt_tokens: 3, completion_tokens: 2 } }
}

fn value(line: &str) -> Value {
    assert!(line.ends_with('\n') && line.lines().count() == 1);
    serde_json::from_str(line).unwrap()
}

#[test]
fn an_answer_has_the_shape_of_openai() {
    let line = answer_line(&header(), 7, "a", (Endpoint::ChatCompletions, "m"), &answer(None));
    let name = header().name;
    assert_eq!(
        value(&line),
        json!({
            "id": name.line_id(7), "custom_id": "a", "error": null,
            "response": {"status_code": 200, "request_id": name.request_id(7), "body": {
                "id": name.completion_id(Endpoint::ChatCompletions, 7), "object": "chat.completion", "created": 0, "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi \u{1f600}\n", "refusal": null},
                    "logprobs": null, "finish_reason": "length"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
                "system_fingerprint": "fp_1",
            }},
        })
    );
    assert!(line.starts_with("{\"id\":\"batch_req_"), "the order of fields is fixed");
    let text = value(&answer_line(&header(), 7, "a", (Endpoint::Completions, "m"), &answer(None)));
    assert_eq!(text["response"]["body"]["choices"][0]["text"], "Hi \u{1f600}\n");
    assert_eq!(text["response"]["body"]["object"], "text_completion");
}

#[test]
fn ids_differ_by_line_batch_and_purpose() {
    let name = BatchName::of(["a", "b"]);
    let ids = [
        name.line_id(1),
        name.line_id(2),
        name.request_id(1),
        name.completion_id(Endpoint::Completions, 1),
        BatchName::of(["ab", ""]).line_id(1),
    ];
    let tails: std::collections::BTreeSet<&str> = ids.iter().map(|id| &id[id.len() - 32..]).collect();
    assert_eq!(tails.len(), ids.len());
    assert_eq!(BatchName::of(["a", "b"]).line_id(1), ids[0]);
}

#[test]
fn a_refused_row_has_an_answer_and_a_lost_one_an_error() {
    let error = RowError::about("n", Code::InvalidValue, "`n` is 1000000000");
    let refused = value(&failure_line(&header(), 3, Some("b"), &error));
    assert_eq!(refused["response"]["status_code"], 400);
    assert_eq!(refused["response"]["body"], error.body());
    assert_eq!(refused["error"], Value::Null);
    let lost = value(&failure_line(&header(), 3, None, &RowError::expired()));
    assert_eq!((&lost["response"], &lost["custom_id"]), (&Value::Null, &Value::Null));
    assert_eq!(lost["error"]["code"], "batch_expired");
    assert_eq!(lost["error"]["message"], "This request could not be executed before the completion window expired.");
    assert_eq!(lost["error"].as_object().unwrap().len(), 2);
}

#[test]
fn logprobs_have_both_shapes() {
    let token = |text: &str, logprob, top| TokenLogprob {
        token: text.to_owned(),
        bytes: text.as_bytes().to_vec(),
        logprob: Some(logprob),
        top,
    };
    let likely = token("a", -0.25, Vec::new());
    let tokens = vec![token("a", -0.25, vec![likely.clone()]), token("é", f32::NEG_INFINITY, vec![likely])];
    let answer = answer(Some(tokens));
    let shown = |endpoint| {
        let line = value(&answer_line(&header(), 1, "a", (endpoint, "m"), &answer));
        line["response"]["body"]["choices"][0]["logprobs"].clone()
    };
    let chat = shown(Endpoint::ChatCompletions);
    assert_eq!(chat["content"][0]["top_logprobs"], json!([{"token": "a", "logprob": -0.25, "bytes": [97]}]));
    assert_eq!(chat["content"][1]["logprob"], -9999.0);
    assert_eq!(
        shown(Endpoint::Completions),
        json!({"tokens": ["a", "é"], "token_logprobs": [-0.25, -9999.0], "top_logprobs": [{"a": -0.25}, {"a": -0.25}],
            "text_offset": [0, 1]})
    );
}

#[test]
fn an_answer_is_stored_and_read_back() {
    let stored = serde_json::to_string(&answer(None)).unwrap();
    assert_eq!(serde_json::from_str::<Answer>(&stored).unwrap(), answer(None));
}
