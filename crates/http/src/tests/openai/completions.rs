//! Answers while the client waits.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::openai::{CompletionSink, Listening, Piece};
use crate::tests::fixture::{FakeDesk, HOST, Lab, bearer, request};
use stepwell_batch::RowError;
use stepwell_batch::results::{FinishReason, TokenLogprob, Usage};

const CHAT: &str = "/v1/chat/completions";

fn chat(more: &[(&str, Value)]) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }] });
    for (name, value) in more {
        body[*name] = value.clone();
    }
    body
}

/// Sends the pieces to the next request, on a thread of its own.
fn answering(lab: &Lab, pieces: Vec<Piece>) -> std::thread::JoinHandle<()> {
    let desk = Arc::clone(&lab.desk);
    std::thread::spawn(move || {
        let sink = waiting(&desk);
        for piece in pieces {
            sink.send(piece);
        }
    })
}

fn waiting(desk: &FakeDesk) -> CompletionSink {
    for _ in 0..500 {
        if let Some((_, sink)) = desk.completions.lock().unwrap().pop() {
            return sink;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("nobody asked");
}

fn text(text: &str) -> Piece {
    Piece::Text { choice: 0, text: text.to_owned(), tokens: Vec::new() }
}

fn done() -> Piece {
    let usage = Usage { prompt_tokens: 3, completion_tokens: 2 };
    Piece::Done { body: json!({ "object": "chat.completion" }).to_string(), usage }
}

fn post(lab: &Lab, path: &str, body: &Value) -> Response<Body> {
    let request = request("POST", path)
        .header(header::AUTHORIZATION, bearer(&lab.run))
        .header(header::CONTENT_TYPE, "application/json");
    lab.send(request.body(Body::from(body.to_string())).unwrap())
}

fn events(lab: &Lab, answer: Response<Body>) -> Vec<String> {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let text = String::from_utf8(lab.body(answer)).unwrap();
    text.split("\n\n").filter_map(|frame| frame.strip_prefix("data: ")).map(str::to_owned).collect()
}

#[test]
fn a_whole_answer_is_the_body_of_the_model() {
    let lab = Lab::new();
    let model = answering(&lab, vec![Piece::Started, text("Hello"), done()]);
    let (status, answer) = lab.post(CHAT, &lab.run, chat(&[]));
    model.join().unwrap();
    assert_eq!((status, answer), (StatusCode::OK, json!({ "object": "chat.completion" })));
}

#[test]
fn a_stream_has_a_role_then_text_then_a_reason_then_the_end() {
    let lab = Lab::new();
    let finished = Piece::Finished { choice: 0, reason: FinishReason::Stop };
    let model = answering(&lab, vec![Piece::Started, text("Hel"), text("lo\n"), finished, done()]);
    let usage = json!({ "include_usage": true });
    let answer = post(&lab, CHAT, &chat(&[("stream", json!(true)), ("stream_options", usage)]));
    let events = events(&lab, answer);
    model.join().unwrap();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let delta = |index: usize| &chunks[index]["choices"][0]["delta"];
    assert_eq!(delta(0), &json!({ "role": "assistant", "content": "" }));
    assert_eq!((delta(1), delta(2)), (&json!({ "content": "Hel" }), &json!({ "content": "lo\n" })));
    assert_eq!((delta(3), &chunks[3]["choices"][0]["finish_reason"]), (&json!({}), &json!("stop")));
    assert_eq!((&chunks[4]["choices"], &chunks[4]["usage"]["total_tokens"]), (&json!([]), &json!(5)));
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["object"] == "chat.completion.chunk"));
}

#[test]
fn a_stream_of_a_completion_carries_log_probabilities() {
    let lab = Lab::new();
    let token = |text: &str, logprob: f32, top| TokenLogprob {
        token: text.to_owned(),
        bytes: text.as_bytes().to_vec(),
        logprob: Some(logprob),
        top,
    };
    let token = token(" a", -0.5, vec![token(" b", -1.0, Vec::new())]);
    let text = Piece::Text { choice: 0, text: " a".to_owned(), tokens: vec![token] };
    let finished = Piece::Finished { choice: 0, reason: FinishReason::Length };
    let model = answering(&lab, vec![Piece::Started, text, finished, done()]);
    let body = json!({ "model": "m", "prompt": "Once", "stream": true, "logprobs": 1 });
    let events = events(&lab, post(&lab, "/v1/completions", &body));
    model.join().unwrap();
    let first: Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!((&first["object"], &first["choices"][0]["text"]), (&json!("text_completion"), &json!(" a")));
    assert_eq!(first["choices"][0]["logprobs"]["top_logprobs"][0], json!({ " b": -1.0 }));
}

#[test]
fn a_refusal_of_the_model_is_an_answer_with_a_status() {
    let lab = Lab::new();
    for streams in [false, true] {
        let too_long = RowError::about("messages", stepwell_batch::Code::ContextLengthExceeded, "too long");
        let model = answering(&lab, vec![Piece::Failed(too_long)]);
        let (status, refused) = lab.post(CHAT, &lab.run, chat(&[("stream", json!(streams))]));
        model.join().unwrap();
        assert_eq!((status, &refused["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("context_length_exceeded")));
        assert_eq!(refused["error"]["param"], "messages");
    }
}

#[test]
fn wrong_fields_are_named_and_never_reach_the_model() {
    let lab = Lab::new();
    for (name, value) in
        [("n", json!(1_000_000_000)), ("colour", json!("red")), ("temperature", json!(99)), ("messages", json!([]))]
    {
        let (status, refused) = lab.post(CHAT, &lab.run, chat(&[(name, value)]));
        assert_eq!((status, &refused["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(name)), "{refused}");
    }
    assert!(lab.desk.completions.lock().unwrap().is_empty());
}

#[test]
fn a_full_queue_is_429_with_a_wait_that_clients_accept() {
    let lab = Lab::new();
    let body: stepwell_batch::body::Body = {
        let Value::Object(body) = chat(&[]) else { unreachable!() };
        stepwell_batch::body::Body::parse(stepwell_batch::body::Endpoint::ChatCompletions, body).unwrap()
    };
    for _ in 0..2 {
        let (sink, _) = CompletionSink::new();
        lab.desk.completions.lock().unwrap().push((body.clone(), sink));
    }
    let refused = post(&lab, CHAT, &chat(&[]));
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    let body: Value = serde_json::from_slice(&lab.body(refused)).unwrap();
    assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&json!("rate_limit_error"), &json!("queue_full")));
}

#[test]
fn a_client_that_goes_away_ends_its_rows() {
    let lab = Lab::new();
    let model = answering(&lab, vec![Piece::Started, text("Hel")]);
    let answer = post(&lab, CHAT, &chat(&[("stream", json!(true))]));
    model.join().unwrap();
    let (sink, receiver) = CompletionSink::new();
    assert_eq!(sink.listening(), Listening::Yes);
    drop((answer, receiver));
    assert_eq!(sink.listening(), Listening::No);
    assert_eq!(sink.send(text("lo")), Listening::No);
}

#[test]
fn refusals_have_the_form_that_clients_map_to_exceptions() {
    let lab = Lab::new();
    let send = |path: &str, token: Option<&str>| {
        let mut request = request("POST", path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, bearer(token));
        }
        lab.send(request.body(Body::from("{}")).unwrap())
    };
    let answer = send(CHAT, None);
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Bearer"));
    assert!(answer.headers().contains_key("x-request-id"));
    let body: Value = serde_json::from_slice(&lab.body(answer)).unwrap();
    assert_eq!(body["error"]["type"], "authentication_error");
    for (path, status, kind) in [
        ("/v1/embeddings", StatusCode::BAD_REQUEST, "invalid_request_error"),
        ("/v1/nothing", StatusCode::NOT_FOUND, "not_found_error"),
        ("/v1/batches/x/y", StatusCode::NOT_FOUND, "not_found_error"),
        ("/v1/models", StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error"),
    ] {
        let answer = send(path, Some(&lab.run));
        assert_eq!(answer.status(), status, "{path}");
        let body: Value = serde_json::from_slice(&lab.body(answer)).unwrap();
        assert_eq!(body["error"]["type"], kind, "{path}: {body}");
        for field in ["message", "type", "param", "code"] {
            assert!(body["error"].get(field).is_some(), "{path}: {field}");
        }
    }
    let body: Value = serde_json::from_slice(&lab.body(send("/v1/embeddings", Some(&lab.run)))).unwrap();
    assert!(body["error"]["message"].as_str().unwrap().contains("/v1/chat/completions"), "{body}");
    // Other addresses keep their own form.
    let other = axum::http::Request::builder().uri("/api/v1/nothing").header(header::HOST, HOST);
    let other = lab.send(other.header(header::AUTHORIZATION, bearer(&lab.read)).body(Body::empty()).unwrap());
    assert_eq!(other.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert!(!other.headers().contains_key("x-request-id"));
}

#[test]
fn models_are_listed_and_shown() {
    let lab = Lab::new();
    let (status, listed) = lab.get("/v1/models", &lab.read);
    assert_eq!((status, &listed["object"], &listed["data"][0]["id"]), (StatusCode::OK, &json!("list"), &json!("m")));
    assert_eq!(lab.get("/v1/models/m", &lab.read).1["object"], "model");
    let (status, refused) = lab.get("/v1/models/run/none", &lab.read);
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
}

#[test]
fn the_numbers_of_vllm_are_in_both_forms() {
    let lab = Lab::new();
    let mut load = crate::openai::InferenceLoad { model: Some("m".to_owned()), running: 2, ..Default::default() };
    load.ended = vec![("stop", 3), ("length", 1)];
    load.generated_tokens = 41;
    load.first_token.note(0.3);
    *lab.desk.load.lock().unwrap() = load;
    let scrape = request("GET", "/metrics").header(header::AUTHORIZATION, bearer(&lab.read));
    let text = String::from_utf8(lab.body(lab.send(scrape.body(Body::empty()).unwrap()))).unwrap();
    for line in [
        "vllm:num_requests_running{model_name=\"m\"} 2.0",
        "vllm:generation_tokens_total{model_name=\"m\"} 41.0",
        "vllm:request_success_total{finished_reason=\"stop\",model_name=\"m\"} 3.0",
        "vllm:time_to_first_token_seconds_count 1",
        "stepwell_inference_requests_running 2.0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    let (_, json) = lab.get("/api/v1/metrics.json", &lab.read);
    assert_eq!(json["vllm:generation_tokens_total"][0]["value"], 41.0);
    assert_eq!(json["vllm:time_to_first_token_seconds"]["sum"], 0.3);
}
