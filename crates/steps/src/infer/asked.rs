//! Requests that a step makes itself, answered with the machinery of `infer`: rows are durable, and found again after a kill.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroU64;

use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::{Arguments, Dtype};
use super::batch::run_batch;
use super::engine::{self, ModelBackend};
use crate::handler::{StepContext, StepError, arguments};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_batch::key::Identity;
use stepwell_batch::results::FinishReason;
use stepwell_constitution::{Code, PromptGuard};
use stepwell_models::Model;

const REQUESTS: &str = "requests.jsonl";

/// What to ask, and whom.
pub(crate) struct Asked<'m> {
    pub model: &'m Model,
    /// Digest of the files of the model.
    pub digest: String,
    pub dtype: Dtype,
    pub concurrency: NonZeroU64,
    pub guard: PromptGuard,
    /// Bodies of `/v1/completions` by an id of their own. Each asks for one completion.
    pub bodies: Vec<(String, Value)>,
}

/// An answer to one request.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Answered {
    pub text: String,
    pub finish_reason: FinishReason,
    pub completion_tokens: u64,
    /// Log-probabilities of the likeliest first tokens and of those that were asked for, by their text.
    pub first: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Line {
    custom_id: String,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    choices: Vec<Choice>,
    usage: Used,
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    finish_reason: FinishReason,
    logprobs: Option<Places>,
}

#[derive(Deserialize)]
struct Places {
    top_logprobs: Vec<Option<BTreeMap<String, f64>>>,
}

#[derive(Deserialize)]
struct Used {
    completion_tokens: u64,
}

/// Name of the engine with a type of weights, as provenance has it.
pub(crate) fn engine_name(dtype: Dtype) -> String {
    format!("{}/{}", engine::VERSION, dtype.as_str())
}

/// Answers all requests, in their order, and returns the file of answers too. Rows that are answered survive a kill.
///
/// # Errors
/// When a request has no answer; the code of the guard if that is the reason.
pub(crate) fn answer(
    context: &mut StepContext<'_>,
    asked: &Asked<'_>,
) -> Result<(Vec<Answered>, Option<ArtifactRef>), StepError> {
    if asked.bodies.is_empty() {
        return Ok((Vec::new(), None));
    }
    let path = context.scratch().join(REQUESTS);
    let mut lines = Vec::new();
    for (id, body) in &asked.bodies {
        let line = json!({ "custom_id": id, "method": "POST", "url": "/v1/completions", "body": body });
        writeln!(lines, "{line}").map_err(|error| Failure::io("cannot write the requests", &error))?;
    }
    std::fs::write(&path, &lines).map_err(|error| Failure::io("cannot write the requests", &error))?;
    let with = json!({
        "model": "", "requests": path, "dtype": asked.dtype, "concurrency": asked.concurrency,
        "endpoint": "/v1/completions", "on_bad_line": "fail",
    });
    let settings: Arguments = arguments(&with)?;
    let identity = Identity { model: asked.digest.clone(), template: String::new(), engine: engine_name(asked.dtype) };
    let outputs = run_batch(context, &settings, &path, &identity, |_, most_at_once| {
        let backend = ModelBackend::open(asked.model, asked.dtype, settings.memory(most_at_once), 0)?;
        Ok(backend.guarded(asked.guard.clone()))
    })?;
    let (output, errors) = (&outputs.artifacts["output"], &outputs.artifacts["errors"]);
    if errors.size > 0 {
        return Err(unanswered(&context.artifacts.read(errors)?).into());
    }
    let bytes = context.artifacts.read(output)?;
    let mut found = Vec::with_capacity(asked.bodies.len());
    for (line, (id, _)) in bytes.split(|byte| *byte == b'\n').zip(&asked.bodies) {
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| Failure::fatal(format!("an answer of the engine cannot be read: {error}")))?;
        let choice = line.response.body.choices.into_iter().next();
        let choice = choice.filter(|_| line.custom_id == *id).ok_or_else(|| {
            Failure::fatal(format!("the answer to the request `{id}` is missing")).with_code(Code::Unanswered.as_str())
        })?;
        let first = choice.logprobs.and_then(|places| places.top_logprobs.into_iter().next().flatten());
        found.push(Answered {
            text: choice.text,
            finish_reason: choice.finish_reason,
            completion_tokens: line.response.body.usage.completion_tokens,
            first: first.unwrap_or_default(),
        });
    }
    Ok((found, Some(output.clone())))
}

/// The failure of the first request without an answer.
fn unanswered(errors: &[u8]) -> Failure {
    let line = errors.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line: Value = serde_json::from_slice(line).unwrap_or_default();
    let error = match &line["error"] {
        Value::Null => &line["response"]["body"]["error"],
        error => error,
    };
    let code: Option<Code> = serde_json::from_value(error["param"].clone()).ok();
    let message = error["message"].as_str().unwrap_or("for a reason that is not known");
    let id = line["custom_id"].as_str().unwrap_or_default();
    Failure::fatal(format!("the request `{id}` has no answer: {message}"))
        .with_code(code.unwrap_or(Code::Unanswered).as_str())
        .with_hint("a pipeline with holes in its data is not continued; the file of the attempt's log has the place")
}
