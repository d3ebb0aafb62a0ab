//! Lines of the output file and of the error file, in the exact shapes of OpenAI. All fields have a fixed order, so that equal
//! batches give equal bytes.

use serde::Serialize;

use super::answer::{Answer, Choice, FinishReason};
use super::ids::BatchName;
use super::logprobs::{Logprobs, PromptLogprobs};
use crate::body::Endpoint;
use crate::error::RowError;

/// Common to all lines of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub name: BatchName,
    /// Seconds since 1970 in `created` of each answer. 0 for a batch whose files should not depend on when it ran.
    pub created: i64,
    /// Stands for the engine and the weights.
    pub system_fingerprint: String,
}

#[derive(Serialize)]
struct Line<'a, B> {
    id: String,
    custom_id: Option<&'a str>,
    response: Option<Response<B>>,
    error: Option<LineError<'a>>,
}

#[derive(Serialize)]
struct Response<B> {
    status_code: u16,
    request_id: String,
    body: B,
}

#[derive(Serialize)]
struct LineError<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'a str,
    created: i64,
    model: &'a str,
    choices: Vec<ShownChoice<'a>>,
    usage: ShownUsage,
    system_fingerprint: &'a str,
    /// Present for chats; completions have it in each choice, as in vLLM.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_logprobs: Option<PromptLogprobs<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ShownChoice<'a> {
    Chat {
        index: usize,
        message: Message<'a>,
        logprobs: Option<Logprobs<'a>>,
        finish_reason: FinishReason,
    },
    Text {
        index: usize,
        text: &'a str,
        logprobs: Option<Logprobs<'a>>,
        finish_reason: FinishReason,
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt_logprobs: Option<PromptLogprobs<'a>>,
    },
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
    refusal: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

/// The body of an answer, as JSON without a line's end.
pub fn completion_body(header: &Header, line: u64, (endpoint, model): (Endpoint, &str), answer: &Answer) -> String {
    to_json(&completion(header, line, (endpoint, model), answer))
}

/// The line of the output file for an answered row, with its end.
pub fn answer_line(
    header: &Header,
    line: u64,
    custom_id: &str,
    (endpoint, model): (Endpoint, &str),
    answer: &Answer,
) -> String {
    let body = completion(header, line, (endpoint, model), answer);
    let response = Response { status_code: 200, request_id: header.name.request_id(line), body };
    let line =
        Line { id: header.name.line_id(line), custom_id: Some(custom_id), response: Some(response), error: None };
    to_json(&line) + "\n"
}

/// The line of the error file for a row without an answer, with its end. A line that has no id of its own has `null`.
pub fn failure_line(header: &Header, line: u64, custom_id: Option<&str>, error: &RowError) -> String {
    let (id, code, message) = (header.name.line_id(line), error.code.as_str(), error.message.as_str());
    let line = match error.code.status() {
        None => Line::<ErrorBody<'_>> { id, custom_id, response: None, error: Some(LineError { code, message }) },
        Some(status_code) => {
            let kind = if status_code < 500 { "invalid_request_error" } else { "server_error" };
            let error = ErrorFields { message, r#type: kind, param: error.param.as_deref(), code };
            let request_id = header.name.request_id(line);
            let response = Response { status_code, request_id, body: ErrorBody { error } };
            Line { id, custom_id, response: Some(response), error: None }
        }
    };
    to_json(&line) + "\n"
}

fn completion<'a>(
    header: &'a Header,
    line: u64,
    (endpoint, model): (Endpoint, &'a str),
    answer: &'a Answer,
) -> Completion<'a> {
    let object = match endpoint {
        Endpoint::ChatCompletions => "chat.completion",
        Endpoint::Completions => "text_completion",
    };
    let usage = answer.usage;
    Completion {
        id: header.name.completion_id(endpoint, line),
        object,
        created: header.created,
        model,
        choices: answer.choices.iter().enumerate().map(|(index, choice)| shown(endpoint, index, choice)).collect(),
        usage: ShownUsage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total(),
        },
        system_fingerprint: &header.system_fingerprint,
        prompt_logprobs: match endpoint {
            Endpoint::ChatCompletions => answer.choices.first().and_then(prompt_logprobs),
            Endpoint::Completions => None,
        },
    }
}

fn prompt_logprobs(choice: &Choice) -> Option<PromptLogprobs<'_>> {
    choice.prompt_logprobs.as_deref().map(PromptLogprobs)
}

fn shown(endpoint: Endpoint, index: usize, choice: &Choice) -> ShownChoice<'_> {
    let Choice { text, finish_reason, logprobs, .. } = choice;
    let finish_reason = *finish_reason;
    match endpoint {
        Endpoint::ChatCompletions => ShownChoice::Chat {
            index,
            message: Message { role: "assistant", content: text, refusal: None },
            logprobs: logprobs.as_deref().map(Logprobs::Chat),
            finish_reason,
        },
        Endpoint::Completions => ShownChoice::Text {
            index,
            text,
            logprobs: logprobs.as_deref().map(Logprobs::Completion),
            finish_reason,
            prompt_logprobs: prompt_logprobs(choice),
        },
    }
}

fn to_json(value: &impl Serialize) -> String {
    // The types here have string keys and finite numbers only.
    serde_json::to_string(value).unwrap_or_default()
}
