use serde_json::{Value, json};

use super::*;
use crate::error::{Code, RowError};

fn chat(change: Value) -> Result<Body, RowError> {
    parse(Endpoint::ChatCompletions, json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}), change)
}

fn completion(change: Value) -> Result<Body, RowError> {
    parse(Endpoint::Completions, json!({"model": "m", "prompt": "Hi"}), change)
}

fn parse(endpoint: Endpoint, base: Value, change: Value) -> Result<Body, RowError> {
    let mut body = base.as_object().unwrap().clone();
    body.extend(change.as_object().unwrap().clone());
    Body::parse(endpoint, body)
}

#[test]
fn everything_that_the_api_has_is_read() {
    let body = chat(json!({
        "max_tokens": 5, "max_completion_tokens": 7, "min_tokens": 2, "temperature": 0.5, "top_p": 0.9, "top_k": 40,
        "min_p": 0.1, "repetition_penalty": 1.1, "presence_penalty": -2, "frequency_penalty": 2.0, "seed": -3, "n": 2,
        "stop": ["a", "b"], "stop_token_ids": [1, 2], "logit_bias": {"5": -100, "6": 1.5}, "logprobs": true,
        "top_logprobs": 20, "ignore_eos": true, "response_format": {"type": "json_object"},
        "chat_template_kwargs": {"enable_thinking": false}, "user": "u", "metadata": {"a": "b"}, "store": false,
        "stream": false, "service_tier": "auto", "prompt_logprobs": 1, "include_stop_str_in_output": true,
    }))
    .unwrap();
    let options = &body.options;
    assert_eq!((options.max_tokens, options.n, options.seed, options.top_k), (Some(7), 2, Some(-3), Some(40)));
    assert_eq!((options.logprobs, options.prompt_logprobs), (Some(20), Some(1)));
    assert_eq!(options.logit_bias[&6], 1.5);
    assert_eq!(options.response_format, ResponseFormat::JsonObject);
    assert_eq!(body.choices(), 2);
    let Prompt::Chat { template_kwargs, .. } = &body.prompt else { panic!() };
    assert_eq!(template_kwargs["enable_thinking"], false);
    assert_eq!(chat(json!({"stop": "x", "top_k": -1, "temperature": null})).unwrap().options.top_k, Some(0));
}

#[test]
fn every_number_has_a_bound_and_the_field_is_named() {
    let huge = json!(1_000_000_000);
    for field in ["n", "max_tokens", "max_completion_tokens", "min_tokens", "prompt_logprobs"] {
        let error = chat(json!({field: huge})).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(field), Code::InvalidValue));
        assert!(error.message.contains("1000000000"), "{error}");
    }
    for (field, wrong) in [
        ("temperature", json!(2.1)),
        ("temperature", json!(-0.1)),
        ("top_p", json!(0)),
        ("top_p", json!(1.01)),
        ("top_k", json!(-2)),
        ("min_p", json!(2)),
        ("repetition_penalty", json!(0)),
        ("presence_penalty", json!(3)),
        ("frequency_penalty", json!(-3)),
        ("n", json!(0)),
        ("seed", json!(u64::MAX)),
        ("stop", json!(vec!["x"; 17])),
        ("stop", json!("")),
        ("stop_token_ids", json!(vec![1; 1025])),
        ("stop_token_ids", json!([-1])),
        ("logit_bias", json!({"x": 1})),
        ("logit_bias.1", json!(null)),
        ("top_logprobs", json!(21)),
        ("messages", json!([])),
        ("messages", json!(vec![json!({"role": "user", "content": "x"}); 4097])),
    ] {
        let change = match field {
            "logit_bias.1" => json!({"logit_bias": {"1": 101}}),
            field => json!({field: wrong}),
        };
        let error = chat(change.clone()).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(field), Code::InvalidValue), "{change}: {error}");
    }
    assert_eq!(completion(json!({"prompt": vec!["x"; 65], "n": 2})).unwrap_err().param.as_deref(), Some("n"));
}

#[test]
fn wrong_types_unknown_and_unsupported_fields_are_named() {
    for (change, param, code) in [
        (json!({"n": "2"}), "n", Code::InvalidType),
        (json!({"n": 1.5}), "n", Code::InvalidType),
        (json!({"temperature": "hot"}), "temperature", Code::InvalidType),
        (json!({"messages": "x"}), "messages", Code::InvalidType),
        (json!({"messages": null}), "messages", Code::MissingRequiredParameter),
        (json!({"model": null}), "model", Code::MissingRequiredParameter),
        (json!({"temprature": 0}), "temprature", Code::UnknownParameter),
        (json!({"messages": [{"role": "robot", "content": "x"}]}), "messages[0].role", Code::InvalidValue),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content", Code::MissingRequiredParameter),
        (json!({"messages": [{"role": "user", "content": "x", "a": 1}]}), "messages[0].a", Code::UnknownParameter),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            "messages[0].content[0].type",
            Code::UnsupportedParameter,
        ),
        (json!({"tool_choice": "required"}), "tool_choice", Code::UnsupportedParameter),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function", Code::MissingRequiredParameter),
        (json!({"response_format": {"type": "xml"}}), "response_format.type", Code::UnsupportedParameter),
        (json!({"top_logprobs": 2}), "top_logprobs", Code::InvalidValue),
        (json!({"stream_options": {"x": 1}}), "stream_options.x", Code::UnknownParameter),
        (json!({"prompt": "x"}), "prompt", Code::UnknownParameter),
    ] {
        let error = chat(change.clone()).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(param), code), "{change}: {error}");
    }
    let long = "x".repeat(10_000);
    let error = chat(json!({long.clone(): 1})).unwrap_err();
    assert!(error.message.len() < 200 && error.param.unwrap().len() < 100);
}

#[test]
fn parts_of_text_are_joined() {
    let content = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    let body = chat(json!({"messages": [{"role": "user", "content": content}]})).unwrap();
    let Prompt::Chat { messages, .. } = body.prompt else { panic!() };
    assert_eq!(messages[0], json!({"role": "user", "content": "a\nb"}));
}

#[test]
fn completions_take_texts_and_token_ids() {
    let prompt = |prompt: Value| completion(json!({"prompt": prompt})).map(|body| body.prompt);
    let texts = |texts: &[&str]| Prompt::Texts { texts: texts.iter().map(|t| (*t).to_owned()).collect(), echo: false };
    assert_eq!(prompt(json!("a")), Ok(texts(&["a"])));
    assert_eq!(prompt(json!(["a", "b"])), Ok(texts(&["a", "b"])));
    assert_eq!(prompt(json!([1, 2])), Ok(Prompt::Tokens { ids: vec![vec![1, 2]], echo: false }));
    assert_eq!(prompt(json!([[1], [2]])), Ok(Prompt::Tokens { ids: vec![vec![1], vec![2]], echo: false }));
    for wrong in [json!([]), json!([[]]), json!([1, "a"]), json!(["a", 1]), json!({}), json!([[-1]]), json!([null])] {
        assert_eq!(prompt(wrong.clone()).unwrap_err().param.as_deref(), Some("prompt"), "{wrong}");
    }
    assert_eq!(completion(json!({})).unwrap().options.max_tokens, Some(16), "the default of the API");
    assert_eq!(completion(json!({"max_tokens": 0})).unwrap_err().param.as_deref(), Some("max_tokens"));
    completion(json!({"max_tokens": 0, "echo": true, "logprobs": 0})).unwrap();
    assert_eq!(completion(json!({"best_of": 2})).unwrap_err().code, Code::UnsupportedParameter);
    assert_eq!(completion(json!({"suffix": "x"})).unwrap_err().code, Code::UnsupportedParameter);
    assert_eq!(completion(json!({"messages": []})).unwrap_err().code, Code::UnknownParameter);
}
